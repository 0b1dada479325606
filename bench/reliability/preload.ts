/**
 * Loaded before `main.ts` (`deno run --preload`): its compute Worker becomes one that can be killed, and
 * a line `crash` or `lose` on standard input does so. The server itself is the real one.
 *
 * @module
 */
import type { FatalMessage } from "./mortal_worker.ts";

const RealWorker = globalThis.Worker;
const REPLACED = new URL("../../src/compute/worker.ts", import.meta.url).href;
const MORTAL = new URL("./mortal_worker.ts", import.meta.url);
let compute: Worker | undefined;

globalThis.Worker = class extends RealWorker {
  constructor(specifier: string | URL, options?: WorkerOptions) {
    const isCompute = String(specifier) === REPLACED;
    super(isCompute ? MORTAL : specifier, options);
    if (!isCompute) return;
    if (compute === undefined) obey(); // any sooner, and main.ts would wait for the end of the input
    compute = this;
  }
};

async function obey(): Promise<void> {
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    for (const fault of text.split("\n")) {
      if (fault === "crash" || fault === "lose") {
        compute?.postMessage({ type: "fault", fault } satisfies FatalMessage);
      }
    }
  }
}
