/** The log of a session: a batch or what it left, whichever is less; in the dtype it came in; replayed to the bit. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { encodeSafetensors, writeElements } from "@/wire/mod.ts";
import { entryOf } from "../../src/compute/session_log.ts";
import type { Store } from "../../src/sessions/mod.ts";
import { cpuTest } from "../support/cpu.ts";
import { distance } from "../support/dense.ts";
import { gaussian } from "../support/matrices.ts";
import { joined } from "../wire/bytes.ts";
import { DAMPING, LAYERS } from "./batches.ts";
import { batch, GOES_ON, recorded, steppedAlike } from "./stepped_alike.ts";
import { tensorIn, values, withSessions } from "./support.ts";

for (const method of ["kfac", "ekfac", "tekfac", "kpsvd", "mbf"]) {
  for (const mode of ["sync", "async"]) {
    cpuTest(`${method}, ${mode}: ${GOES_ON}`, (engine) => steppedAlike(engine, method, mode));
  }
}
cpuTest(
  "an entry is as large as the lesser of its forms, and a head",
  (engine) => {
    const written: Uint8Array<ArrayBuffer>[] = [];
    return withSessions(engine, async ({ expect }) => {
      const [d, head] = [64, 4096];
      const layers = { fc: { kind: "dense", bias: false, d_in: d, d_out: d } };
      await expect("POST", "", { id: "s", method: "kfac", layers, damping: DAMPING });
      for (const n of [512, 512, 8]) {
        const inputs = values([n, d], gaussian([n, d], n));
        await expect("POST", "/s/statistics", {
          layers: { fc: { inputs, output_gradients: inputs } },
        });
        const bytes = written.at(-1)!.length;
        const [raw, packed] = [4 * n * 2 * d, 4 * 2 * (d * (d + 1) / 2)];
        const least = written.length === 1 ? raw : Math.min(raw, packed);
        ok(bytes >= least && bytes <= least + head, `${n}: ${bytes} bytes for ${least}`);
      }
    }, { storeOf: recorded(written) });
  },
);

cpuTest(
  "a long log is replaced by a snapshot between the calls, and what came meanwhile follows it",
  (engine) => {
    const counted: number[] = [];
    const storeOf = (store: Store): Store =>
      new Proxy(store, {
        get: (target, name) =>
          name === "session"
            ? async (id: string) => {
              const stored = await target.session(id);
              counted.push(stored!.records.length);
              return stored;
            }
            : (Reflect.get(target, name) as () => unknown).bind(target),
      });
    return withSessions(engine, async ({ expect, host, restart, ...client }) => {
      for (const id of ["killed", "steady"]) {
        await expect("POST", "", { id, layers: LAYERS, damping: DAMPING, refresh: { every: 3 } });
      }
      const step = async (k: number) => {
        const [a, b] = [
          await expect("POST", "/killed/steps", { fisher: "empirical", layers: batch(k, 8) }),
          await expect("POST", "/steady/steps", { fisher: "empirical", layers: batch(k, 8) }),
        ];
        equal(distance(tensorIn(a, "fc1", "update").data, tensorIn(b, "fc1", "update").data), 0);
      };
      for (let k = 0; k < 4; k++) await step(k);
      await host.debt()!(); // the header of the snapshot
      await step(4);
      await restart(); // in the middle of it: the log is there
      await step(5);
      await client.settle();
      await step(6);
      await restart();
      await step(7);
      const ofKilled = counted.filter((_, i) => i % 2 === 0);
      equal(ofKilled.join(), "6,2"); // a snapshot and five entries; another snapshot and one
    }, { storeOf, logLimits: { bytes: 1000, milliseconds: Infinity } });
  },
);

for (const dtype of ["F16", "BF16"] as const) {
  cpuTest(`a batch that came as ${dtype} is logged as that, and replayed as that`, (engine) => {
    const written: Uint8Array<ArrayBuffer>[] = [];
    return withSessions(engine, async ({ expect, request, restart }) => {
      const layers = { fc: { kind: "dense", bias: false } };
      await expect("POST", "", { id: "s", layers, damping: DAMPING });
      const [n, d] = [6, 16];
      const bytes = writeElements(dtype, gaussian([n, d], 3));
      const tensors = new Map(
        ["fc.inputs", "fc.output_gradients"].map((name) => [name, { dtype, shape: [n, d], bytes }]),
      );
      const response = await request("/s/statistics", {
        method: "POST",
        body: joined(encodeSafetensors({}, tensors)),
        headers: { "content-type": "application/vnd.safetensors" },
      });
      equal(response.status, 200, await response.text());
      const { entry } = entryOf(written.at(-1)!);
      equal((entry.request.layers!.fc.inputs as { dtype: string }).dtype, dtype);
      ok(written.at(-1)!.length < 2 * 2 * n * d + 1024);
      const before = tensorIn(await expect("GET", "/s/factors"), "fc", "A");
      await restart();
      const after = tensorIn(await expect("GET", "/s/factors"), "fc", "A");
      equal(distance(before.data, after.data), 0);
    }, { storeOf: recorded(written) });
  });
}
