/**
 * curvd as `main.ts` composes it, with a compute Worker that can be killed: a line `crash` or `lose`
 * on standard input does so.
 *
 * @module
 */
import { type OpenWorker, startCompute } from "../../src/compute/client.ts";
import { readConfig } from "../../src/config.ts";
import { configureLog } from "../../src/log.ts";
import { startStore } from "../../src/sessions/mod.ts";
import { Codec } from "../../src/wire/mod.ts";
import { listen } from "../../routes/listen.ts";
import { createApp } from "../../routes/mod.ts";
import type { FatalMessage } from "./mortal_worker.ts";

let worker: Worker | undefined;
const open: OpenWorker = () => {
  worker = new Worker(new URL("./mortal_worker.ts", import.meta.url), { type: "module" });
  return worker;
};

const config = readConfig();
configureLog(config.log);
const codec = new Codec();
const store = await startStore(config.data);
const compute = await startCompute(config, { open, store });
const app = createApp({
  ...config,
  compute,
  store,
  codec,
  names: [config.host],
  isDraining: () => false,
});
const listener = await listen(app.fetch, config);
console.log(`listens on ${listener.url}`);

for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  for (const fault of text.split("\n")) {
    if (fault === "crash" || fault === "lose") {
      worker?.postMessage({ type: "fault", fault } satisfies FatalMessage);
    }
  }
}
await listener.close();
await compute.close();
await store.close();
codec.close();
Deno.exit(0);
