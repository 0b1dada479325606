/**
 * The bars of the cpu engine's inverses, whiteners and roots, against float64, with a BLAS and without.
 */
import { dispose } from "@tensorflow/tfjs-core";
import { ok, strictEqual as equal } from "node:assert/strict";
import { inverseResidualBound } from "@/linalg/bounds.ts";
import { exactInverseResidual } from "@/linalg/exact_cpu.ts";
import { ADVERSARIES, inverseOf, linalgOf, SIDES, stackOf } from "../support/cpu_linalg.ts";
import { libraryTest } from "../support/libraries.ts";
import { gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";

libraryTest("choleskyInverse() keeps its residual within 3e-8·cond·√n", async (engine, library) => {
  for (const d of SIDES[library]) {
    for (const decades of [1, 4, 6]) {
      const matrix = withSpectrum(logSpaced(d, decades), d);
      const shift = 1e-7;
      const { inverse, report } = await inverseOf(engine, matrix, d, shift);
      const residual = exactInverseResidual(engine.float64, { matrix, shift, d }, inverse);
      const condition = d === 1 ? 1 : 10 ** decades;
      ok(residual <= 3e-8 * condition * Math.sqrt(d) + 1e-6, `${residual} at ${d}, ${decades}`);
      ok(
        report.condition <= 1.5 * condition && report.condition >= condition / 30,
        `${report.condition} for ${condition} at ${d}`,
      );
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < i; j++) equal(inverse[i * d + j], inverse[j * d + i]);
      }
    }
  }
});

libraryTest(
  "choleskyInverse() inverts what is rank-deficient, graded or far from 1, once damped",
  async (engine, library) => {
    const cases = {
      "rank-deficient": 1e-3,
      "graded over 12 decades": 1e-4,
      "at scale 1e30": 1e27,
      "at scale 1e-30": 1e-33,
    };
    for (const [name, shift] of Object.entries(cases)) {
      for (const d of [1, 2, 33, ...(library === "blas" ? [127, 128, 129, 600] : [65])]) {
        const matrix = ADVERSARIES[name](d);
        const { inverse, report } = await inverseOf(engine, matrix, d, shift);
        const residual = exactInverseResidual(engine.float64, { matrix, shift, d }, inverse);
        ok(
          residual <= inverseResidualBound(report.condition * 2, d),
          `${name} at ${d}: ${residual}`,
        );
      }
    }
  },
);

libraryTest("a result over its bound is redone in float64 and says so", async (engine) => {
  const matrix = withSpectrum(logSpaced(60, 9), 1);
  const { inverse, report } = await inverseOf(engine, matrix, 60, 3e-9);
  equal(report.engine, "float64");
  ok(exactInverseResidual(engine.float64, { matrix, shift: 3e-9, d: 60 }, inverse) < 1);
});

libraryTest("whiten() gives a lower triangle W with W M Wᵀ = I", async (engine, library) => {
  for (const d of [1, 2, 65, ...(library === "blas" ? [200, 600] : [100])]) {
    const matrix = gramMatrix(d, d), shift = 1e-2;
    const input = stackOf([matrix], d);
    const [{ whitener, reports }] = await linalgOf(engine).whiten([{
      name: "M",
      matrix: input,
      shift,
    }]);
    const w = Float64Array.from(await whitener.data());
    dispose([input, whitener]);
    for (let i = 0; i < d; i++) for (let j = i + 1; j < d; j++) equal(w[i * d + j], 0);
    const size = { m: d, k: d, n: d };
    const damped = Float64Array.from(
      matrix,
      (value, at) => value + (at % (d + 1) === 0 ? shift : 0),
    );
    const product = engine.float64.matMul(engine.float64.matMul(w, damped, size), w, {
      ...size,
      transposeB: true,
    });
    product.forEach((value, at) =>
      ok(Math.abs(value - Number(at % (d + 1) === 0)) <= 2e-5, `${d}`)
    );
    ok(reports[0].residual <= 1e-5);
  }
});

libraryTest(
  "inverseRoot() to the power p gives the inverse back, to 2e-5 and symmetric to the bit",
  async (engine, library) => {
    for (const d of [1, 2, 20, ...(library === "blas" ? [150] : [])]) {
      for (const root of [1, 2, 3, 4, 8]) {
        for (const decades of [1, 2, 6]) {
          const matrix = withSpectrum(logSpaced(d, decades), d + root);
          const input = stackOf([matrix], d);
          const shift = 1e-6;
          const [{ root: result, reports }] = await linalgOf(engine).inverseRoot([{
            name: "M",
            matrix: input,
            shift,
            root,
          }]);
          const x = (await result.data()).slice();
          dispose([input, result]);
          const { values, vectors } = await engine.float64.eigh(Float64Array.from(matrix), d);
          const scaled = vectors.map((value, at) =>
            value * (Math.max(values[at % d], 0) + shift) ** (-1 / root)
          );
          const exact = engine.float64.matMul(scaled, vectors, {
            m: d,
            k: d,
            n: d,
            transposeB: true,
          });
          let error = 0, size = 0;
          exact.forEach((value, at) => {
            error += (x[at] - value) ** 2;
            size += value ** 2;
          });
          ok(
            Math.sqrt(error / size) <= 2e-5,
            `${Math.sqrt(error / size)} at ${d}, 1/${root}, ${decades} decades`,
          );
          equal(reports.length, 1);
          for (let i = 0; i < d; i++) for (let j = 0; j < i; j++) equal(x[i * d + j], x[j * d + i]);
        }
      }
    }
  },
);
