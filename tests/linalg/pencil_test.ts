/** Simultaneous diagonalization on either side of the size from which a triangular product goes by blocks. */
import {
  diag,
  dispose,
  expandDims,
  eye,
  matMul,
  randomNormal,
  squeeze,
  sub,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import { ok } from "node:assert/strict";
import { CpuLinearAlgebra } from "@/linalg/cpu.ts";
import { addDiagonal, frobeniusNorm, gram } from "@/linalg/matrix.ts";
import { simultaneousDiagonalization } from "@/linalg/pencil.ts";
import { libraryTest } from "../support/libraries.ts";

for (const d of [70, 2049]) {
  libraryTest(
    `simultaneousDiagonalization() diagonalizes both matrices at ${d}`,
    async (engine) => {
      const linalg = new CpuLinearAlgebra(engine, { rescued: new Set(), verifyFully: false });
      const random = (seed: number) =>
        gram(randomNormal([1, 2 * d, d], 0, 1, "float32", seed) as Tensor3D, 1 / (2 * d));
      const [matrix, other] = tidy(() => [random(1), sub(random(2), random(3)) as Tensor3D]);
      const [{ K, s }] = await simultaneousDiagonalization(linalg, [
        { name: "M", matrix, other, shift: 0.1 },
      ]);
      const residual = (M: Tensor3D, expected: Tensor3D) =>
        tidy(() => frobeniusNorm(sub(matMul(matMul(K, M, true), K), expected)).dataSync()[0]);
      const [first, second] = tidy(() => [
        residual(addDiagonal(matrix, 0.1), expandDims(eye(d), 0)),
        residual(other, expandDims(diag(squeeze(s)), 0)),
      ]);
      // entries are sums of d terms near 1/d; a lost block would leave a residual near √d
      const bound = 1e-4 * Math.sqrt(d);
      ok(first <= bound && second <= bound, `residuals ${first}, ${second}, bound ${bound}`);
      dispose([matrix, other, K, s]);
    },
    ["blas"],
  );
}
