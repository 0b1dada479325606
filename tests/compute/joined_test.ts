/** Requests and sessions that wait at the same time share a turn at the device, and no answer tells. */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { startCompute } from "../../src/compute/client.ts";
import type { TurnFacts } from "../../src/compute/mod.ts";
import { startStore } from "../../src/sessions/mod.ts";
import {
  type Document,
  SessionRequest,
  StepsRequest,
  tensorOf,
  validate,
} from "../../src/wire/mod.ts";
import { gaussian, gramMatrix } from "../support/matrices.ts";

const D = 96;

const inverses = (seed: number): Document => ({
  layers: { l: { A: tensorOf([D, D], gramMatrix(D, seed)) } },
  damping: 0.1,
  damping_rule: "factored",
  pi: "trace",
  on_error: "fail",
  verify: "estimate",
});
const session = (id: string): Document => ({
  id,
  method: "kfac",
  damping: 0.1,
  layers: { l: { kind: "dense", bias: false, d_in: D, d_out: D, layout: "oi" } },
});
const step = (seed: number): Document => ({
  fisher: "empirical",
  layers: {
    l: {
      inputs: tensorOf([32, D], gaussian([32, D], seed)),
      output_gradients: tensorOf([32, D], gaussian([32, D], seed + 1)),
      gradient: tensorOf([D, D], gaussian([D, D], seed + 2)),
    },
  },
});

Deno.test({
  name: "answers have the same bits alone and in a turn with others, of requests and of sessions",
  sanitizeOps: false, // the library's threads outlive the Worker
  sanitizeResources: false,
  fn: async () => {
    const store = await startStore(":memory:");
    const compute = await startCompute({ engine: "cpu", blas: "auto" }, { store });
    const turns: TurnFacts[] = [];
    compute.observe({ turn: (turn) => turns.push(turn) });
    const steps = async (name: string, request: Document) =>
      (await compute.session({ call: "steps", session: name, request })).layers;
    const inverted = async (request: Document) => (await compute.call("inverses", request)).layers;
    /** Made before they are sent, so that those sent together come together. */
    const requests = () => ({
      steps: names.map((_, at) => validate(StepsRequest, step(10 * at)) as Document),
      inverses: [1, 2, 3, 4, 5, 6, 7, 8].map(inverses),
    });
    const names = ["a", "b", "c", "d"];
    const open = (suffix: string) =>
      Promise.all(names.map((name) =>
        compute.session({
          call: "create",
          request: validate(SessionRequest, session(name + suffix)) as Document,
        })
      ));
    try {
      await open("1");
      const alone: unknown[] = [];
      const first = requests();
      for (const [at, name] of names.entries()) {
        alone.push(await steps(`${name}1`, first.steps[at]));
      }
      for (const request of first.inverses) alone.push(await inverted(request));
      ok(turns.every(({ works }) => works === 1));

      await open("2");
      const second = requests();
      const together = await Promise.all([
        ...names.map((name, at) => steps(`${name}2`, second.steps[at])),
        ...second.inverses.map(inverted),
      ]);
      deepEqual(together, alone);
      ok(Math.max(...turns.map(({ works }) => works)) >= 4, JSON.stringify(turns));
    } finally {
      await compute.close();
      await store.close();
    }
  },
});
