/**
 * The session that an optimizer's settings ask for.
 *
 * @module
 */
import type * as z from "zod";
import type { SessionRequest } from "@/wire/mod.ts";
import type { LayerBlock } from "../capture/mod.ts";
import type { Settings } from "./options.ts";

/** `POST /v1/sessions` for a model's blocks. */
export function sessionRequestOf(
  settings: Settings,
  blocks: readonly LayerBlock[],
): z.input<typeof SessionRequest> {
  const { method, damping, statisticsDecay, klClip, session, mode, maxDelay } = settings;
  const { drift: _, ...fields } = session;
  return {
    ...fields,
    method,
    ...(damping === undefined ? {} : { damping }),
    decay: statisticsDecay,
    kl_clip: klClip,
    refresh: {
      ...refreshOf(settings),
      mode: mode === "remote" && maxDelay > 0 ? "async" : "sync",
    },
    layers: Object.fromEntries(
      blocks.map(({ name, description, sizes }) => [name, { ...description, ...sizes }] as const),
    ),
  };
}

/** When a session refreshes by itself. It counts batches of statistics. */
export function refreshOf(
  { refreshEvery, statisticsEvery, session }: Settings,
): { every: number; drift: number | null } {
  return { every: refreshEvery / statisticsEvery, drift: session.drift ?? null };
}
