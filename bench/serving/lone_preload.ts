/**
 * Loaded before `main.ts` (`deno run --preload`): its compute Worker becomes the one that batches nothing. The server itself
 * is the real one.
 *
 * @module
 */
const RealWorker = globalThis.Worker;
const REPLACED = new URL("../../src/compute/worker.ts", import.meta.url).href;
const LONE = new URL("./lone_worker.ts", import.meta.url);

globalThis.Worker = class extends RealWorker {
  constructor(specifier: string | URL, options?: WorkerOptions) {
    super(String(specifier) === REPLACED ? LONE : specifier, options);
  }
};
