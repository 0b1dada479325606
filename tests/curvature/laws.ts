/**
 * Laws of every method: what must follow where the gradient, the batch, the damping or the basis is changed (math.md 13).
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { type MethodName, METHODS } from "@/curvature/mod.ts";
import type { WireTensor } from "@/wire/mod.ts";
import { type Request, type RequestLayer, wire } from "../support/calls.ts";
import type { EngineTest } from "../support/cpu.ts";
import { type Dense, dot, product, transposed } from "../support/dense.ts";
import { denseLayer } from "../support/layer_cases.ts";
import { gradientOf } from "../support/dense_fisher.ts";
import { gaussian } from "../support/matrices.ts";
import {
  type Cell,
  cells,
  changed,
  type Choice,
  LAMBDA,
  mapped,
  taking,
  update,
  withGradient,
} from "./cells.ts";
import { expectClose, joined } from "./dense_oracle.ts";

/** Of float32 solves at moderate condition; iterative methods stop at 1e-6 of a pair that then meets a pencil. */
const TOLERANCE = 1e-4;

/** Declares the laws of all cells, or of those chosen. */
export function laws(test: EngineTest, isChosen: Choice = () => true): void {
  for (const cell of cells().filter(isChosen)) {
    if (!cell.isOffered) continue;
    ofGradients(test, cell);
    ofBatches(test, cell);
    ofScales(test, cell);
  }
}

function ofGradients(test: EngineTest, { method, kind, request }: Cell): void {
  // of two-level only the default coarse space: "residual" is made from the gradient
  test(`${method} on ${kind} is linear in the gradient`, async (engine) => {
    const other = changed(
      request,
      (layer) => withGradient(layer, (value, at, field) => Math.cos(at + field.length) - value / 3),
    );
    const [x, y] = [await update(engine, request), await update(engine, other)];
    const both = changed(request, (layer, at) => {
      const second = Object.values(other.layers)[at];
      return withGradient(
        layer,
        (value, i, field) => 2 * value - 3 * (second[field] as WireTensor).data[i],
      );
    });
    expectClose(
      "2x − 3y",
      await update(engine, both),
      x.map((value, i) => 2 * value - 3 * y[i]),
      TOLERANCE,
    );
  });

  test(`${method} on ${kind} turns no gradient round`, async (engine) => {
    // two-level with the residual's right-hand side is no symmetric operator; with the gradient's it is
    const definite = method === "kfac_two_level" ? { ...request, rhs: "gradient" } : request;
    for (const shift of [0, 1, 2]) {
      const turned = changed(
        definite,
        (layer) => withGradient(layer, (value, at) => value + Math.sin(7 * at + shift) * shift),
      );
      const V = joined(Object.values(turned.layers).flatMap(gradientOf));
      const inner = dot(V, await update(engine, turned));
      ok(inner > 0, `⟨U, ∇⟩ is ${inner}`);
    }
  });
}

function ofBatches(test: EngineTest, { method, kind, request }: Cell): void {
  const n = 8;
  const batchOf = (examples: number[]) =>
    changed(request, (layer) => ({
      ...layer,
      inputs: taking(layer.inputs, examples),
      output_gradients: taking(layer.output_gradients, examples),
    }));

  test(`${method} on ${kind} asks neither the order of examples nor how often the batch is sent`, async (engine) => {
    const U = await update(engine, request);
    const order = Array.from({ length: n }, (_, i) => (3 * i + 1) % n);
    expectClose("permuted", await update(engine, batchOf(order)), U, TOLERANCE);
    expectClose("twice", await update(engine, batchOf([...order, ...order])), U, TOLERANCE);
  });

  test(`${method} on ${kind} averages sampled backprops and sums exact ones`, async (engine) => {
    const U = await update(engine, request);
    const k = 2;
    const copies = (fisher: string, factor: number) =>
      changed(request, (layer) => {
        const { shape, data } = layer.output_gradients as WireTensor;
        const scaled = Array.from(data, (value) => factor * value);
        const grads = wire([k, ...shape], Array<number[]>(k).fill(scaled).flat());
        return { ...layer, output_gradients: grads, fisher };
      });
    expectClose("sampled", await update(engine, copies("sampled", 1)), U, TOLERANCE);
    expectClose("exact", await update(engine, copies("exact", Math.SQRT1_2)), U, TOLERANCE);
  });
}

function ofScales(test: EngineTest, { method, kind, request }: Cell): void {
  test(`${method} on ${kind} follows the scale of the loss`, async (engine) => {
    const s = 4;
    const scaled = changed(request, (layer) => ({
      ...withGradient(layer, (value) => s * value),
      output_gradients: mapped(layer.output_gradients, (value) => s * value),
    }));
    const U = await update(engine, request);
    // activations alone: foof's curvature has no scale of the loss
    const [damping, factor] = method === "foof" ? [LAMBDA, s] : [s * s * LAMBDA, 1 / s];
    const found = await update(engine, { ...scaled, damping });
    expectClose("update", found, U.map((value) => factor * value), TOLERANCE);
  });

  test(`${method} on ${kind} at a large damping is the gradient divided by it`, async (engine) => {
    const V = joined(Object.values(request.layers).flatMap(gradientOf));
    const damping = 1e10;
    const U = await update(engine, { ...request, damping });
    expectClose("λU", U.map((value) => damping * value), V, 1e-3);
    // each factor takes λ; but a normalisation layer's one block takes it once, and so does two-level's coarse matrix
    const takesItTwice = METHODS[method].dampingRules.includes("plain") &&
      kind !== "scale_and_shift" && method !== "kfac_two_level";
    if (!takesItTwice) return;
    const plain = await update(engine, { ...request, damping: 1e5, damping_rule: "plain" });
    expectClose("λ²U, plain", plain.map((value) => 1e10 * value), V, 1e-3);
  });
}

/** Methods without a favoured basis. Mini-blocks are blocks of one, and two-level's row of ones is one of its vectors. */
const EQUIVARIANT: readonly MethodName[] = [
  "kfac",
  "ekfac",
  "kpsvd",
  "deflation",
  "lanczos",
  "kfac_corrected",
  "tkfac",
  "tekfac",
  "kfac_tridiagonal",
  "foof",
];

/** Declares that methods follow an orthogonal change of the basis of inputs and of outputs. */
export function rotations(test: EngineTest): void {
  const plain = (method: string): Request => ({
    method,
    damping: LAMBDA,
    layers: {
      first: denseLayer({ n: 9, dIn: 4, dOut: 3, seed: 501 }),
      second: denseLayer({ n: 9, dIn: 3, dOut: 2, seed: 511 }),
    },
  });
  const spaces = ["residual", "spectral"];
  const requests: [string, Request][] = [
    ...EQUIVARIANT.map((method): [string, Request] => [method, plain(method)]),
    ...spaces.map((coarse_space): [string, Request] => [
      `kfac_two_level, ${coarse_space},`,
      { ...plain("kfac_two_level"), coarse_space },
    ]),
  ];
  for (const [kind, request] of requests) {
    test(`${kind} follows a rotation of inputs and outputs`, async (engine) => {
      const bases = [[4, 3], [3, 2]].map(([dIn, dOut], at) => ({
        Q: orthogonal(dIn, 521 + at),
        R: orthogonal(dOut, 531 + at),
      }));
      const turned = changed(request, (layer, at) => rotated(layer, bases[at]));
      const found = await update(engine, turned);
      // the updates are turned like the gradients: a layer whose gradient is the update gives it back
      const U = await update(engine, request);
      let from = 0;
      const expected = [[4, 3], [3, 2]].flatMap(([dIn, dOut], at) => {
        const matrix = U.slice(from, from += dOut * (dIn + 1));
        return [...turn(matrix, bases[at], dOut, dIn)];
      });
      expectClose("update", found, expected, TOLERANCE);
    });
  }
}

interface Bases {
  readonly Q: Dense;
  readonly R: Dense;
}

/** `a → aQ`, `g → gR`, `∇ → Rᵀ∇Q`; the homogeneous coordinate stays. */
function rotated(layer: RequestLayer, bases: Bases): RequestLayer {
  const rows = (field: string, Q: Dense) => {
    const { shape: [n, d], data } = layer[field] as WireTensor;
    return wire([n, d], product(Float64Array.from(data), Q, n, d, d));
  };
  const { shape: [dOut, dIn] } = layer.gradient as WireTensor;
  const [V] = gradientOf(layer);
  const turned = turn(V, bases, dOut, dIn);
  const width = dIn + 1;
  return {
    ...layer,
    inputs: rows("inputs", bases.Q),
    output_gradients: rows("output_gradients", bases.R),
    gradient: wire([dOut, dIn], turned.filter((_, at) => at % width < dIn)),
    bias_gradient: wire([dOut], turned.filter((_, at) => at % width === dIn)),
  };
}

/** `Rᵀ V [Q 0; 0 1]`. */
function turn(V: Dense, { Q, R }: Bases, dOut: number, dIn: number): Dense {
  const width = dIn + 1;
  const wide = Float64Array.from({ length: width * width }, (_, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    return i < dIn && j < dIn ? Q[i * dIn + j] : Number(i === j);
  });
  return product(product(transposed(R, dOut), V, dOut, dOut, width), wide, dOut, width, width);
}

/** Gram–Schmidt of random columns. */
function orthogonal(d: number, seed: number): Dense {
  const rows: Dense[] = [];
  for (let i = 0; i < d; i++) {
    let row: Dense = Float64Array.from(gaussian([d], seed * 10 + i));
    for (let round = 0; round < 2; round++) {
      for (const known of rows) {
        const along = dot(known, row);
        row = row.map((value, j) => value - along * known[j]);
      }
    }
    const length = Math.sqrt(dot(row, row));
    rows.push(row.map((value) => value / length));
  }
  return joined(rows);
}
