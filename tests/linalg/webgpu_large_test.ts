/**
 * Large matrices on the GPU engine: eigenvectors at 1024, and with CURVD_SLOW=1 the largest inverse that one request may ask
 * for.
 */
import { dispose, randomNormal, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { ok, strictEqual as equal } from "node:assert/strict";
import { eighResidualBound, inverseResidualBound, orthogonalityBound } from "@/linalg/bounds.ts";
import { gram, settle } from "@/linalg/mod.ts";
import { gpuTest } from "../support/gpu.ts";

/** `XᵀX/n` of twice as many Gaussian rows. */
const factor = (d: number) =>
  tidy(() => gram(randomNormal([1, 2 * d, d], 0, 1, "float32", d) as Tensor3D, 1 / (2 * d)));

gpuTest("eigh() keeps its bounds at 1000 in float32, computed in full", async (engine) => {
  const d = 1000;
  const { keep: report } = await settle(engine, async (linalg) => {
    const matrix = factor(d);
    const [{ vectors, values, reports }] = await linalg.eigh([{ name: "M", matrix }]);
    dispose([matrix, vectors, values]);
    return { read: [], keep: reports[0] };
  }, { verifyFully: true });
  equal(report.engine, "webgpu");
  ok(report.residual <= eighResidualBound(d), `residual ${report.residual}`);
  ok(report.orthogonality! <= orthogonalityBound(d), `orthogonality ${report.orthogonality}`);
});

gpuTest(
  "slow: choleskyInverse() holds its bar at 4096 in float32, computed in full",
  async (engine) => {
    const d = 4096;
    const { keep: report } = await settle(engine, async (linalg) => {
      const matrix = factor(d);
      const [{ inverse, reports }] = await linalg.choleskyInverse([
        { name: "M", matrix, shift: 1e-3 },
      ]);
      dispose([matrix, inverse]);
      return { read: [], keep: reports[0] };
    }, { verifyFully: true });
    equal(report.engine, "webgpu");
    ok(
      report.residual <= inverseResidualBound(report.condition, d),
      `residual ${report.residual}`,
    );
  },
  { isSlow: true },
);
