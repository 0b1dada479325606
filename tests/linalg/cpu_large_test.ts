/**
 * Sizes that take too long for every run: with CURVD_SLOW=1.
 */
import { dispose, randomNormal, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { ok } from "node:assert/strict";
import { eighResidualBound, inverseResidualBound, orthogonalityBound } from "@/linalg/bounds.ts";
import { CpuLinearAlgebra } from "@/linalg/cpu.ts";
import { gram } from "@/linalg/matrix.ts";
import { ADVERSARIES, assertEighBars } from "../support/cpu_linalg.ts";
import { libraryTest } from "../support/libraries.ts";

const isSlowRun = Deno.env.get("CURVD_SLOW") === "1";
if (!isSlowRun) console.log("large matrices are tested with CURVD_SLOW=1 only");

for (const d of isSlowRun ? [1024, 2047, 2048, 4096] : [600]) {
  libraryTest(
    `eigh() and choleskyInverse() hold their bars at ${d}, computed in full`,
    async (engine) => {
      const linalg = new CpuLinearAlgebra(engine, { rescued: new Set(), verifyFully: true });
      const matrix = tidy(() =>
        gram(randomNormal([1, 2 * d, d], 0, 1, "float32", d) as Tensor3D, 1 / (2 * d))
      );
      const [{ vectors, values, reports: [eigh] }] = await linalg.eigh([{ name: "M", matrix }]);
      ok(eigh.residual <= eighResidualBound(d), `residual ${eigh.residual}`);
      ok(eigh.orthogonality! <= orthogonalityBound(d), `orthogonality ${eigh.orthogonality}`);
      const [{ inverse, reports: [report] }] = await linalg.choleskyInverse([
        { name: "M", matrix, shift: 1e-3 },
      ]);
      ok(
        report.residual <= inverseResidualBound(report.condition, d),
        `residual ${report.residual}`,
      );
      dispose([matrix, vectors, values, inverse]);
    },
    ["blas"],
  );
}

for (const d of isSlowRun ? [2047, 2048] : []) {
  for (const [name, make] of Object.entries(ADVERSARIES)) {
    libraryTest(
      `eigh() keeps its bars at ${d} on a matrix that is ${name}`,
      (engine) => assertEighBars(engine, make(d), d),
      ["blas"],
    );
  }
}
