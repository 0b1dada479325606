/** The compute Worker itself, with a crash that a test orders: some time after the next message. */
import "../../src/compute/worker.ts";

/** Test → Worker, beside the messages of the protocol; 0 is before anything is begun. */
export interface CrashOrder {
  readonly type: "crash";
  readonly afterMs: number;
}

function crash(): never {
  throw new Error("struck by a test");
}

self.addEventListener("message", ({ data }: MessageEvent<CrashOrder>) => {
  if (data.type !== "crash") return;
  const strike = () => data.afterMs > 0 ? setTimeout(crash, data.afterMs) : crash();
  self.addEventListener("message", strike, { once: true });
});
