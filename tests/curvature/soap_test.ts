/**
 * SOAP's basis where a moment's rank is far below its side.
 */
import { dispose, matMul, tensor3d, tidy } from "@tensorflow/tfjs-core";
import { ok } from "node:assert/strict";
import { DEFAULT_OPTIONS } from "@/curvature/mod.ts";
import { type SoapState, startSoap, stepSoap } from "@/curvature/soap.ts";
import { settle } from "@/linalg/mod.ts";
import { libraryTest } from "../support/libraries.ts";
import { gaussian } from "../support/matrices.ts";

const OPTIONS = { beta1: 0.95, beta2: 0.95, decay: 0.95, epsilon: 1e-8, every: 1 };

for (const [rows, columns, rank] of [[2, 9, 1], [40, 100, 3]]) {
  libraryTest(
    `SOAP's basis stays orthonormal over turns where gradients have rank ${rank} (${rows} × ${columns})`,
    async (engine) => {
      const u = gaussian([rank, rows], 1), v = gaussian([rank, columns], 2);
      const gradient = (t: number) => {
        const values = new Float32Array(rows * columns);
        for (let k = 0; k < rank; k++) {
          for (let at = 0; at < values.length; at++) {
            const [i, j] = [Math.floor(at / columns), at % columns];
            values[at] += Math.cos(0.3 * t * (k + 1)) * u[k * rows + i] * v[k * columns + j];
          }
        }
        return tensor3d(values, [1, rows, columns]);
      };
      const contextOf = (linalg: Parameters<Parameters<typeof settle>[1]>[0]) => ({
        name: "layer",
        linalg,
        options: DEFAULT_OPTIONS,
      });
      const first = gradient(0);
      let { keep: state }: { keep: SoapState } = await settle(engine, async (linalg) => ({
        read: [],
        keep: await startSoap(first, contextOf(linalg), OPTIONS),
      }));
      first.dispose();
      for (let t = 1; t <= 6; t++) {
        const D = gradient(t), last = state;
        const { keep } = await settle(engine, async (linalg) => ({
          read: [],
          keep: await stepSoap(last, D, t, contextOf(linalg), OPTIONS),
        }));
        state = keep.state;
        for (const Q of [state.Q_L, state.Q_R]) {
          const product = tidy(() => matMul(Q, Q, true)), d = Q.shape[1];
          (await product.data()).forEach((value, at) => {
            const expected = at % (d + 1) === 0 ? 1 : 0;
            ok(Math.abs(value - expected) <= 1e-5, `${value} at ${at} of turn ${t}`);
          });
          product.dispose();
        }
        const kept = new Set(Object.values(state));
        dispose([D, keep.update, ...Object.values(last).filter((tensor) => !kept.has(tensor))]);
      }
      dispose(Object.values(state));
    },
  );
}
