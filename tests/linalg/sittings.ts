/**
 * What holds of pieces of work that are settled at the same time, on either engine.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, rejects } from "node:assert/strict";
import { dispose, type Tensor, tensor3d } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { inSharedScope, type LinearAlgebra, settle, type Stack } from "@/linalg/mod.ts";
import type { EngineTest } from "../support/cpu.ts";
import { gramMatrix } from "../support/matrices.ts";

type Result = Readonly<Record<string, unknown>>;

const tensorsOf = (result: Result): Tensor[] =>
  Object.values(result).filter((value): value is Tensor =>
    typeof value === "object" && value !== null && "dataId" in value
  );

function stackOf(d: number, values: Float32Array = gramMatrix(d, d)): Stack {
  return tensor3d(values, [1, d, d]);
}

/** Settles what one work asks of matrices. @returns the values and the reports of all results. */
async function solved(
  engine: Engine,
  work: (linalg: LinearAlgebra) => Promise<readonly Result[]>,
  signal?: AbortSignal,
) {
  const { arrays, keep } = await settle(engine, async (linalg) => {
    const results = await work(linalg);
    return { read: results.flatMap(tensorsOf), keep: results.map(({ reports }) => reports) };
  }, { signal });
  return { arrays, reports: keep };
}

/** An inverse, a basis and a root of one size; then the inverse of the inverse, in a second round. */
function everything(matrix: Stack) {
  return async (linalg: LinearAlgebra): Promise<readonly Result[]> => {
    const shifted = { name: "fc.A", matrix, shift: 0.1 };
    const [[inverse], [basis], [root]] = await Promise.all([
      linalg.choleskyInverse([shifted]),
      linalg.eigh([{ name: "fc.A", matrix }]),
      linalg.inverseRoot([{ ...shifted, root: 4 }]),
    ]);
    const again = await linalg.choleskyInverse([{ ...shifted, matrix: inverse.inverse }]);
    return [inverse, basis, root, ...again].map((result) => ({ ...result }));
  };
}

export function sittingTests(engineTest: EngineTest, sides: readonly number[]): void {
  engineTest("a work's results have the same bits alone and in company", async (engine) => {
    const matrices = sides.map((d) => stackOf(d));
    const alone = [];
    for (const matrix of matrices) alone.push(await solved(engine, everything(matrix)));
    const together = await Promise.all(
      [...matrices, ...matrices].map((matrix) => solved(engine, everything(matrix))),
    );
    deepEqual(together, [...alone, ...alone]);
    dispose(matrices);
  });

  engineTest("a work that is refused leaves its company alone", async (engine) => {
    const good = stackOf(5), bad = stackOf(2, Float32Array.of(1, 2, 2, 1));
    const inverse = (matrix: Stack) => (linalg: LinearAlgebra) =>
      linalg.choleskyInverse([{ name: "fc.A", matrix, shift: 0.1, negativeTolerance: [1e-6] }])
        .then((results) => results.map((result) => ({ ...result })));
    const [first, refused, last] = await Promise.allSettled(
      [good, bad, good].map((matrix) => solved(engine, inverse(matrix))),
    );
    deepEqual([first.status, refused.status, last.status], ["fulfilled", "rejected", "fulfilled"]);
    await rejects(solved(engine, inverse(bad)), { code: "not-positive-definite" });
    dispose([good, bad]);
  });

  engineTest(
    "a work that is given up ends at its next question, its company does not",
    async (engine) => {
      const matrix = stackOf(7);
      const leaving = new AbortController();
      let rounds = 0;
      const endless = async (linalg: LinearAlgebra): Promise<readonly Result[]> => {
        for (;;) {
          const [{ vectors, values }] = await linalg.eigh([{ name: "fc.A", matrix }]);
          dispose([vectors, values]);
          if (++rounds === 3) leaving.abort();
        }
      };
      const [endlessly, other] = await Promise.allSettled([
        solved(engine, endless, leaving.signal),
        solved(engine, everything(matrix)),
      ]);
      deepEqual([endlessly.status, other.status, rounds], ["rejected", "fulfilled", 3]);
      await rejects(solved(engine, everything(matrix), leaving.signal), { code: "aborted" });
      dispose(matrix);
    },
  );

  engineTest("works that overlap in a shared scope keep their own tensors", async (engine) => {
    const matrix = stackOf(4);
    const inverted = () =>
      inSharedScope(async () => {
        const { arrays, keep } = await settle(engine, async (linalg) => {
          const [{ inverse }] = await linalg.choleskyInverse([{ name: "A", matrix, shift: 1 }]);
          return { read: [inverse.clone()], keep: inverse };
        });
        const [again] = await engine.read([keep]);
        return [arrays[0], again];
      });
    for (const [read, kept] of await Promise.all([inverted(), inverted(), inverted()])) {
      deepEqual(read, kept);
    }
    dispose(matrix);
  });
}
