/** `GET /health/live` and `GET /health/ready`. @module */
import { Hono } from "hono";
import type { Compute } from "@/compute/mod.ts";
import { CurvdError } from "@/errors.ts";

/** Live: the HTTP thread turns. Ready: work would be taken now. */
export function healthRoutes(compute: Compute, isDraining: () => boolean): Hono {
  return new Hono()
    .get("/live", (c) => c.json({ status: "live" }))
    .get("/ready", (c) => {
      if (isDraining()) throw new CurvdError("draining", "The server is stopping");
      if (!compute.isReady()) {
        throw new CurvdError("device-lost", "The device was lost and is being opened again");
      }
      return c.json({ status: "ready" });
    });
}
