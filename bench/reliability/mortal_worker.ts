/**
 * The compute Worker, and a message that kills it: what it does otherwise is the real one's.
 *
 * `crash` throws where nothing catches, as a bug would; `lose` tells of a lost device, as a driver
 * that was reset makes the real one tell.
 *
 * @module
 */
import type { FromWorker } from "../../src/compute/protocol.ts";
import "../../src/compute/worker.ts";

/** Fault injector → Worker, beside the messages of the protocol. */
export type FatalMessage = { type: "fault"; fault: "crash" | "lose" };

const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.addEventListener("message", ({ data }: MessageEvent<FatalMessage>) => {
  if (data.type !== "fault") return;
  if (data.fault === "crash") throw new Error("an injected fault");
  scope.postMessage({ type: "lost", reason: "an injected fault" } satisfies FromWorker);
});
