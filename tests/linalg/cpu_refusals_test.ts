/**
 * What the cpu engine's linear algebra refuses, and what it then says.
 */
import { dispose } from "@tensorflow/tfjs-core";
import { ok, strictEqual as equal } from "node:assert/strict";
import { inverseOf, linalgOf, refused, stackOf } from "../support/cpu_linalg.ts";
import { libraryTest } from "../support/libraries.ts";
import { gramMatrix, withSpectrum } from "../support/matrices.ts";

libraryTest(
  "an indefinite matrix is refused with its eigenvalue and a damping that serves",
  async (engine) => {
    const d = 30;
    const matrix = withSpectrum(
      Float64Array.from({ length: d }, (_, i) => i === 0 ? -0.5 : 1 + i),
      2,
    );
    let serving = NaN;
    await refused(inverseOf(engine, matrix, d, 1e-3, 1e-4), ({ code, facts }) => {
      equal(code, "not-positive-definite");
      ok(Math.abs(facts.eigenvalue as number + 0.5) < 1e-4);
      equal(facts.size, d);
      serving = Number(/damping of ([\d.e+-]+)/.exec(facts.suggestion!)![1]);
    });
    const damped = matrix.map((value, at) => value + (at % (d + 1) === 0 ? serving : 0));
    await inverseOf(engine, damped, d, 1e-3, 1e-4);
  },
);

libraryTest(
  "an indefinite matrix is refused also where the damping would hide it",
  async (engine) => {
    const matrix = withSpectrum([-0.5, 1, 2, 3], 2);
    await refused(
      inverseOf(engine, matrix, 4, 10, 1e-4),
      ({ code }) => equal(code, "not-positive-definite"),
    );
    await inverseOf(engine, matrix, 4, 10, 0.51); // within τ it counts as zero
  },
);

libraryTest(
  "a singular matrix at damping 0 is refused with its pivot, and the damping named serves",
  async (engine) => {
    for (const d of [2, 40, 150]) {
      const matrix = gramMatrix(d, d, Math.max(1, Math.floor(d / 2)));
      let serving = NaN;
      await refused(inverseOf(engine, matrix, d, 0), ({ code, facts }) => {
        equal(code, "not-positive-definite");
        equal(typeof facts.pivot, "number");
        equal(facts.damping, 0);
        serving = Number(/damping ([\d.e+-]+) would serve/.exec(facts.suggestion!)![1]);
      });
      await inverseOf(engine, matrix, d, serving);
    }
  },
);

libraryTest("eigh() refuses an eigenvalue below −τ and counts those above it", async (engine) => {
  const matrix = withSpectrum([-0.5, -0.25, 1, 2, 3], 2);
  const input = stackOf([matrix], 5);
  const linalg = linalgOf(engine);
  await refused(
    linalg.eigh([{ name: "A", matrix: input, negativeTolerance: [0.4] }]),
    ({ code }) => equal(code, "not-positive-definite"),
  );
  const [result] = await linalg.eigh([{ name: "A", matrix: input, negativeTolerance: [0.6] }]);
  equal(result.reports[0].negative, 2);
  dispose([input, result.vectors, result.values]);
});

libraryTest(
  "NaN and infinity are refused by every operation, and the engine works afterwards",
  async (engine) => {
    for (const poison of [NaN, Infinity]) {
      const matrix = gramMatrix(70, 1);
      matrix[3 * 70 + 5] = matrix[5 * 70 + 3] = poison;
      const input = stackOf([matrix], 70);
      const linalg = linalgOf(engine);
      const problem = { name: "A", matrix: input, shift: 0.1 };
      await refused(linalg.choleskyInverse([problem]), () => {});
      await refused(linalg.whiten([problem]), () => {});
      await refused(linalg.eigh([problem]), () => {});
      await refused(linalg.inverseRoot([{ ...problem, root: 2 }]), () => {});
      dispose(input);
    }
    await inverseOf(engine, gramMatrix(70, 1), 70, 0.1);
  },
);
