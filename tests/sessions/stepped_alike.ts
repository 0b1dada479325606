/** Sessions whose log is looked at, with batches of both sizes. */
import { ok, strictEqual as equal } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import { entryOf } from "../../src/compute/session_log.ts";
import type { Parts, Store } from "../../src/sessions/mod.ts";
import { distance } from "../support/dense.ts";
import { gaussian } from "../support/matrices.ts";
import { joined } from "../wire/bytes.ts";
import { DAMPING, LAYERS, SIZES } from "./batches.ts";
import { tensorIn, values, withSessions } from "./support.ts";

export const GOES_ON =
  "large batches are logged as what they left, small ones as they are, and both are replayed";

const [D_IN, D_OUT] = SIZES.fc1;

/** A store that also tells what is written to it. */
export function recorded(written: Uint8Array<ArrayBuffer>[]) {
  return (store: Store): Store =>
    new Proxy(store, {
      get: (target, name) =>
        name === "write"
          ? (draft: number, parts: Parts, isGiven?: boolean) => {
            if (!isGiven) written.push(joined([...parts]));
            return target.write(draft, parts, isGiven);
          }
          : (Reflect.get(target, name) as () => unknown).bind(target),
    });
}

/** A batch of both layers, of which fc2's is small. */
export function batch(step: number, n: number) {
  return {
    fc1: {
      inputs: values([n, D_IN], gaussian([n, D_IN], 10 * step)),
      output_gradients: values([n, D_OUT], gaussian([n, D_OUT], 10 * step + 1)),
    },
    fc2: {
      inputs: values([2, 4], gaussian([2, 4], 10 * step + 2)),
      output_gradients: values([2, 2], gaussian([2, 2], 10 * step + 3)),
    },
  };
}

/** Two sessions take the same steps, with large batches and small ones; one is killed twice. */
export function steppedAlike(engine: Engine, method: string, mode: string): Promise<void> {
  const written: Uint8Array<ArrayBuffer>[] = [];
  return withSessions(engine, async ({ expect, settle, restart }) => {
    const session = { layers: LAYERS, method, damping: DAMPING, refresh: { every: 2, mode } };
    for (const id of ["killed", "steady"]) await expect("POST", "", { ...session, id });
    for (let step = 0; step < 7; step++) {
      const request = { fisher: "empirical", layers: batch(step, step % 3 === 2 ? 2 : 200) };
      const a = await expect("POST", "/killed/steps", structuredClone(request));
      const b = await expect("POST", "/steady/steps", request);
      equal(
        distance(tensorIn(a, "fc1", "update").data, tensorIn(b, "fc1", "update").data),
        0,
      );
      if (step % 2 === 1) await settle();
      if (step === 2 || step === 5) await restart();
    }
    const steps = written.map((bytes) => entryOf(bytes)).filter(({ entry: { call } }) =>
      call === "steps"
    );
    const left = steps.filter(({ remains }) => remains.has("fc1"));
    equal(left.length, 2 * 4); // of each session steps 1, 3, 4 and 6: the first has nothing to measure by
    ok(left.every(({ entry }) => entry.request.layers!.fc1.inputs === undefined));
    const raw = steps.filter(({ entry }) => entry.request.layers!.fc1.inputs !== undefined);
    equal(left.length + raw.length, steps.length);
  }, { storeOf: recorded(written) });
}
