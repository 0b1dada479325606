/** `GET /health/live` and `GET /health/ready`. @module */
import { Hono } from "hono";
import type { Compute } from "@/compute/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { StoreWorker } from "@/sessions/storage.ts";

/** What has a say in whether work would be taken. */
export interface Health {
  readonly compute: Pick<Compute, "isReady">;
  /** Absent where no sessions are kept. */
  readonly store?: Pick<StoreWorker, "probe">;
  /** Whether the server is finishing its last requests. */
  readonly isDraining: () => boolean;
}

/** Live: the HTTP thread turns. Ready: work would be taken now, and what changes would be kept. */
export function healthRoutes(health: Health): Hono {
  return new Hono()
    .get("/live", (c) => c.json({ status: "live" }))
    .get("/ready", async (c) => c.json({ status: "ready", parts: await readiness(health) }));
}

/** Every part with "ready". @throws CurvdError of the first that is not, with what all of them say. */
async function readiness({ compute, store, isDraining }: Health): Promise<Record<string, string>> {
  const faults: Record<string, CurvdError | null> = {
    server: isDraining() ? new CurvdError("draining", "The server is stopping") : null,
    device: compute.isReady()
      ? null
      : new CurvdError("device-lost", "The device was lost and is being opened again"),
    ...(store ? { store: await faultOf(store) } : {}),
  };
  const parts = Object.fromEntries(
    Object.entries(faults).map(([part, fault]) => [part, fault?.message ?? "ready"]),
  );
  const fault = Object.values(faults).find((fault) => fault !== null);
  if (fault) throw fault.with({ parts });
  return parts;
}

async function faultOf(store: Pick<StoreWorker, "probe">): Promise<CurvdError | null> {
  try {
    await store.probe();
    return null;
  } catch (error) {
    // whatever it is, asking again later is right: 503, where a change would be told 507
    return new CurvdError("not-ready", error instanceof Error ? error.message : String(error));
  }
}
