/**
 * The largest inverse that one request may ask for, on the GPU engine: with CURVD_SLOW=1.
 */
import { dispose, randomNormal, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { ok, strictEqual as equal } from "node:assert/strict";
import { inverseResidualBound } from "@/linalg/bounds.ts";
import { gram, settle } from "@/linalg/mod.ts";
import { gpuTest } from "../support/gpu.ts";

gpuTest(
  "slow: choleskyInverse() holds its bar at 4096 in float32, computed in full",
  async (engine) => {
    const d = 4096;
    const { keep: report } = await settle(engine, async (linalg) => {
      const matrix = tidy(() =>
        gram(randomNormal([1, 2 * d, d], 0, 1, "float32", d) as Tensor3D, 1 / (2 * d))
      );
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
