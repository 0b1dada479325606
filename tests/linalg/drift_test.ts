/** How far a matrix has moved from its eigenbasis, and what is told of its spectrum, against float64. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { dispose, type Tensor, tensor2d, tensor3d } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import {
  basisDrift,
  readDiagonal,
  readEigenvalues,
  relativeChange,
  spectrumOf,
  type SpectrumReading,
} from "@/linalg/mod.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { distance, norm, product, transposed } from "../support/dense.ts";
import { gpuTest } from "../support/gpu.ts";
import { gaussian, gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";
import { reference } from "../support/reference.ts";

const stack = (d: number, ...matrices: ArrayLike<number>[]) =>
  tensor3d(Float32Array.from(matrices.flatMap((m) => Array.from(m))), [matrices.length, d, d]);

/** Reads a tensor, and lets go of it and of what it was made of. */
async function read(engine: Engine, made: Tensor, ...from: Tensor[]): Promise<Float32Array> {
  const [values] = await engine.read([made]);
  dispose([made, ...from]);
  return values;
}

async function summary(engine: Engine, { source, values, norm, largest }: SpectrumReading) {
  const [v, [n], [l]] = await engine.read([values, norm, largest]);
  dispose([values, norm, largest]);
  return spectrumOf(source, v, n, l);
}

/** Eigenvectors in columns. */
const basisOf = (m: ArrayLike<number>, d: number) => reference.eigh(Float64Array.from(m), d);

/** `‖offdiag(QᵀMQ)‖_F/‖M‖_F`, formed. */
function offDiagonal(m: ArrayLike<number>, q: ArrayLike<number>, d: number): number {
  const [M, Q] = [Float64Array.from(m), Float64Array.from(q)];
  const turned = product(transposed(Q, d), product(M, Q, d), d);
  return norm(turned.filter((_, at) => at % (d + 1) !== 0)) / norm(M);
}

function suite(test: EngineTest): void {
  for (const amount of [1e-3, 1e-1, 1]) {
    test(`basisDrift() is the off-diagonal share in the old basis, matrix moved by ${amount}`, async (engine) => {
      const d = 33;
      const pairs = await Promise.all([5, 6].map(async (seed) => {
        const old = gramMatrix(d, seed), other = gramMatrix(d, seed + 100);
        return {
          moved: old.map((x, i) => x + amount * other[i]),
          Q: (await basisOf(old, d)).vectors,
        };
      }));
      const M = stack(d, ...pairs.map(({ moved }) => moved));
      const Q = stack(d, ...pairs.map(({ Q }) => Q));
      const drifts = await read(engine, basisDrift(M, Q), M, Q);
      pairs.forEach(({ moved, Q }, i) => {
        const expected = offDiagonal(moved, Q, d);
        ok(Math.abs(drifts[i] - expected) <= 1e-5, `${drifts[i]} is not ${expected}`);
      });
    });
  }

  test("a basis has not drifted from its own matrix, nor from a multiple of it", async (engine) => {
    const d = 40, m = gramMatrix(d, 3);
    const Q = stack(d, (await basisOf(m, d)).vectors);
    for (const factor of [1, 10]) {
      const M = stack(d, m.map((x) => factor * x));
      const [drift] = await read(engine, basisDrift(M, Q), M);
      ok(drift <= 1e-6, `${drift}`);
    }
    dispose(Q);
  });

  test("eigenvalues that are held on to drift with the matrix's scale", async (engine) => {
    const d = 20, m = gramMatrix(d, 4);
    const { vectors, values } = await basisOf(m, d);
    const Q = stack(d, vectors), lambda = tensor2d(Float32Array.from(values), [1, d]);
    const M = stack(d, m.map((x) => 1.25 * x));
    const [drift] = await read(engine, basisDrift(M, Q, lambda), M, Q, lambda);
    ok(Math.abs(drift - 0.2) <= 1e-5, `${drift}`); // ‖1.25 M − M‖/‖1.25 M‖
  });

  test("relativeChange() is ‖X − X₀‖/‖X₀‖, of zeros 0", async (engine) => {
    const [x, y] = [gaussian([2, 7, 7], 1), gaussian([2, 7, 7], 2)];
    const X = tensor3d(x, [2, 7, 7]), Y = tensor3d(y, [2, 7, 7]);
    const changes = await read(engine, relativeChange(X, Y), X, Y);
    for (const i of [0, 1]) {
      const [a, b] = [x, y].map((all) => all.subarray(49 * i, 49 * (i + 1)));
      ok(Math.abs(changes[i] - distance(a, b) / norm(b)) <= 1e-5);
    }
    const zero = stack(2, [0, 0, 0, 0]);
    equal((await read(engine, relativeChange(zero, zero), zero))[0], 0);
  });

  test("a spectrum of eigenvalues is exact, one of the diagonal within Schur–Horn's bounds", async (engine) => {
    const d = 50, values = logSpaced(d, 3, 4);
    const m = withSpectrum(values, 9);
    const lambda = tensor2d(Float32Array.from(values), [1, d]), M = stack(d, m);
    const exact = await summary(engine, readEigenvalues(lambda));
    const estimate = await summary(engine, readDiagonal(M));
    dispose([lambda, M]);
    const stableRank = (norm(values) / 4) ** 2;
    const near = (x: number, y: number, bound: number) =>
      ok(Math.abs(x / y - 1) <= bound, `${x} is not ${y}`);
    near(exact.largest, 4, 1e-6);
    near(exact.stableRank, stableRank, 1e-5);
    near(exact.quantiles.median, values.toSorted()[25], 1e-6);
    near(exact.quantiles.min, 4e-3, 1e-6);
    ok(estimate.largest <= 4 * (1 + 1e-5) && estimate.largest >= 4 * 0.9, `${estimate.largest}`);
    near(estimate.stableRank, stableRank, 0.25);
    ok(estimate.quantiles.max <= 4 && estimate.quantiles.min >= 4e-3);
    equal(estimate.source, "diagonal");
  });

  test("a stack's spectrum is that of the block-diagonal matrix", async (engine) => {
    const M = stack(2, [3, 0, 0, 1], [2, 0, 0, 0]);
    const { quantiles, largest, stableRank } = await summary(engine, readDiagonal(M));
    dispose(M);
    equal(`${quantiles.min} ${quantiles.median} ${quantiles.max}`, "0 2 3");
    ok(Math.abs(largest - 3) <= 0.05 && Math.abs(stableRank - 14 / 9) <= 0.05);
  });
}

suite(cpuTest);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn));
