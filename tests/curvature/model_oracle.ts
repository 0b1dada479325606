/**
 * The methods that couple layers against dense matrices of the whole model, in float64.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import { call, numbers, type RequestLayer } from "../support/calls.ts";
import type { EngineTest } from "../support/cpu.ts";
import {
  type Dense,
  dot,
  eigh,
  kronecker,
  norm,
  plus,
  product,
  shifted,
  solve,
} from "../support/dense.ts";
import { type DenseBlock, denseBlocks, gradientOf, matricesOf } from "../support/dense_fisher.ts";
import { convLayer, denseLayer } from "../support/layer_cases.ts";
import { expectClose, joined, piOf } from "./dense_oracle.ts";

export type Model = Record<string, RequestLayer>;

const LAMBDA = 0.3;
const GAMMA = Math.sqrt(LAMBDA);

/** Dense layers whose outputs feed the next, as far as sizes go. */
const CHAIN: Model = {
  first: denseLayer({ n: 8, dIn: 3, dOut: 2, seed: 301 }),
  second: denseLayer({ n: 8, dIn: 2, dOut: 3, bias: false, layout: "io", seed: 302 }),
  third: denseLayer({ n: 8, dIn: 3, dOut: 2, layout: "io", seed: 303 }),
};

/** The same of several backprops: A is a mean over examples, G a sum over both. */
const EXACT_CHAIN: Model = Object.fromEntries(
  [3, 2, 2].map((dIn, l) => [
    `l${l}`,
    denseLayer({ n: 5, dIn, dOut: 2, backprops: 2, fisher: "exact", seed: 311 + l }),
  ]),
);

const WITH_CONVOLUTION: Model = {
  conv: convLayer({
    n: 6,
    channels: 2,
    filters: 4,
    image: [3, 3],
    kernel: [2, 2],
    groups: 2,
    layout: "hwio",
    seed: 321,
  }),
  sequence: denseLayer({ n: 6, s: 2, dIn: 2, dOut: 2, masked: true, seed: 322 }),
  dense: denseLayer({ n: 6, dIn: 3, dOut: 2, layout: "io", seed: 323 }),
};

const SPACES = ["nicolaides", "spectral", "residual", "krylov_nicolaides"];

export function tridiagonalOracle(test: EngineTest): void {
  const models = { "a chain": CHAIN, "a chain of exact backprops": EXACT_CHAIN };
  for (const [kind, model] of Object.entries(models)) {
    test(`kfac_tridiagonal of ${kind} inverts the dense completion of its blocks`, async (engine) => {
      for (const damping_rule of ["factored", "plain"]) {
        const F̂ = await completed(model, damping_rule);
        const method = "kfac_tridiagonal";
        const found = await updates(engine, model, { method, damping_rule });
        expectClose(damping_rule, found, solve(F̂, gradients(model)), 5e-5);
      }
    });
  }

  test("kfac_tridiagonal with zero cross factors is block-diagonal kfac", async (engine) => {
    // every example twice, the second layer's inputs once with each sign: E[a a'ᵀ] = 0
    const first = denseLayer({ n: 4, dIn: 3, dOut: 2, bias: false, seed: 331 });
    const second = denseLayer({ n: 4, dIn: 2, dOut: 3, bias: false, seed: 332 });
    const model = { first: doubled(first, 1), second: doubled(second, -1) };
    const coupled = await updates(engine, model, { method: "kfac_tridiagonal" });
    expectClose("update", coupled, await updates(engine, model, { method: "kfac" }));
  });
}

export function twoLevelOracle(test: EngineTest): void {
  const models = {
    "dense layers": CHAIN,
    "a grouped convolution and a sequence": WITH_CONVOLUTION,
  };
  for (const [kind, model] of Object.entries(models)) {
    for (const coarse_space of SPACES) {
      test(`kfac_two_level of ${kind}, ${coarse_space}, is its formula on the dense Fisher`, async (engine) => {
        const dense = await denseModel(model);
        const rows = await coarseRows(dense, coarse_space);
        const parameters = { method: "kfac_two_level", coarse_space };
        const residual = await updates(engine, model, parameters);
        expectClose("rhs residual", residual, corrected(dense, rows, dense.residual), 1e-4);
        const gradient = await updates(engine, model, { ...parameters, rhs: "gradient" });
        expectClose("rhs gradient", gradient, corrected(dense, rows, dense.V), 1e-4);
      });
    }

    test(`kfac_two_level of ${kind} leaves no residual in the coarse space, and less energy`, async (engine) => {
      const { F, V, zeta } = await denseModel(model);
      const rows = await coarseRows(await denseModel(model), "nicolaides");
      const U = await updates(engine, model, { method: "kfac_two_level" });
      const rest = plus(V, times(F, U), -1);
      for (const c of rows) ok(Math.abs(dot(c, rest)) <= 1e-5 * norm(V), `${dot(c, rest)} is left`);
      const exact = solve(F, V);
      const energy = (x: Dense) => dot(plus(x, exact, -1), times(F, plus(x, exact, -1)));
      ok(energy(U) < energy(zeta), `energy ${energy(U)}, without correction ${energy(zeta)}`);
    });
  }

  test("kfac_two_level, tselepidis, adds the Kronecker-factored coarse solve", async (engine) => {
    const dense = await denseModel(CHAIN);
    const rows = await coarseRows(dense, "nicolaides");
    const sums = dense.blocks.map(({ places, weight }, l) => {
      const size = Math.sqrt(dense.sizes[l]); // of the row of ones, half on each side
      const total = (x: Dense) => x.reduce((sum, value) => sum + value, 0);
      return {
        a: places.map(({ a }) => total(a[0]) / Math.sqrt(size)),
        g: places.map(({ g }) => total(g[0]) / Math.sqrt(size)),
        weight,
      };
    });
    const m = rows.length;
    const coarse = Float64Array.from({ length: m * m }, (_, at) => {
      const [x, y] = [sums[Math.floor(at / m)], sums[at % m]];
      return x.weight ** 2 * dot(x.a, y.a) * dot(x.g, y.g) + (at % (m + 1) === 0 ? LAMBDA : 0);
    });
    const beta = solve(coarse, Float64Array.from(rows, (c) => dot(c, dense.V)));
    const expected = rows.reduce((U, c, k) => plus(U, c, beta[k]), dense.zeta);
    const parameters = { method: "kfac_two_level", coarse_space: "tselepidis" };
    expectClose("update", await updates(engine, CHAIN, parameters), expected, 1e-4);
  });
}

/** A model's blocks one after the other, its damped Fisher, and K-FAC's solve. */
interface DenseModel {
  readonly blocks: readonly DenseBlock[];
  /** Parameters of each block. */
  readonly sizes: readonly number[];
  /** Layer of each block. */
  readonly layers: readonly number[];
  readonly V: Dense;
  /** `F + λI`, cross blocks included. */
  readonly F: Dense;
  /** Damped K-FAC of each block. */
  readonly P: readonly Dense[];
  readonly zeta: Dense;
  /** `∇ − (F + λI) ζ`. */
  readonly residual: Dense;
  /** A vector of the model cut into blocks. */
  parts(x: Dense): Dense[];
}

async function denseModel(model: Model): Promise<DenseModel> {
  const ofLayers = Object.values(model).map((layer) => denseBlocks(layer));
  const blocks = ofLayers.flat();
  const layers = ofLayers.flatMap((each, l) => each.map(() => l));
  const sizes = blocks.map(({ dIn, dOut }) => dIn * dOut);
  const V = gradients(model), D = V.length;
  const F = new Float64Array(D * D);
  blocks[0].gradients.forEach((_, i) => {
    const p = joined(blocks.map(({ gradients }) => gradients[i]));
    F.forEach((value, at) => F[at] = value + blocks[0].weight * p[Math.floor(at / D)] * p[at % D]);
  });
  const P = await Promise.all(blocks.map((block) => damped(block, "factored")));
  const parts = (x: Dense) => {
    let from = 0;
    return sizes.map((size) => x.slice(from, from += size));
  };
  const zeta = joined(parts(V).map((v, k) => solve(P[k], v)));
  const dampedF = shifted(F, LAMBDA);
  const residual = plus(V, times(dampedF, zeta), -1);
  return { blocks, sizes, layers, V, F: dampedF, P, zeta, residual, parts };
}

/** R₀'s rows, each of unit norm and on one layer. */
async function coarseRows(model: DenseModel, space: string): Promise<Dense[]> {
  const { layers, sizes, P, residual, parts } = model;
  const all = [...new Set(layers)];
  const onLayer = (x: Dense, layer: number) => {
    const kept = joined(parts(x).map((part, k) => layers[k] === layer ? part : part.fill(0)));
    return kept.map((value) => value / norm(kept));
  };
  const preconditioned = (x: Dense) => joined(parts(x).map((part, k) => solve(P[k], part)));
  const ones = new Float64Array(model.V.length).fill(1);
  switch (space) {
    case "nicolaides":
      return all.map((layer) => onLayer(ones, layer));
    case "krylov_nicolaides":
      return [ones, preconditioned(ones)].flatMap((x) => all.map((layer) => onLayer(x, layer)));
    case "residual":
      return all.map((layer) => onLayer(preconditioned(residual), layer));
  }
  const bases = await Promise.all(P.map((each) => eigh(each)));
  return all.map((layer) => { // of a grouped layer, the block with the least eigenvalue
    const own = layers.flatMap((l, k) => l === layer ? [k] : []);
    const least = own.reduce((x, y) => bases[y].values[0] < bases[x].values[0] ? y : x);
    const smallest = sizes.map((size, k) =>
      Float64Array.from({ length: size }, (_, i) => k === least ? bases[k].vectors[i * size] : 0)
    );
    return onLayer(joined(smallest), layer);
  });
}

/** `ζ + R₀ᵀ (R₀ F_λ R₀ᵀ)⁻¹ R₀ rhs`. */
function corrected({ F, zeta }: DenseModel, rows: readonly Dense[], rhs: Dense): Dense {
  const m = rows.length;
  const coarse = Float64Array.from(
    { length: m * m },
    (_, at) => dot(rows[Math.floor(at / m)], times(F, rows[at % m])),
  );
  const beta = solve(coarse, Float64Array.from(rows, (c) => dot(c, rhs)));
  return rows.reduce((U, c, k) => plus(U, c, beta[k]), zeta);
}

async function damped({ A, G }: DenseBlock, rule: string): Promise<Dense> {
  if (rule === "plain") return kronecker(shifted(G, LAMBDA), shifted(A, LAMBDA));
  const pi = await piOf("trace", A, G);
  return kronecker(shifted(G, GAMMA / pi), shifted(A, GAMMA * pi));
}

/** The matrix equal to the damped factors on its three diagonals whose inverse is block-tridiagonal. */
async function completed(model: Model, rule: string): Promise<Dense> {
  const blocks = Object.values(model).map((layer) => denseBlocks(layer)[0]);
  const sizes = blocks.map(({ dIn, dOut }) => dIn * dOut);
  const diagonal = await Promise.all(blocks.map((block) => damped(block, rule)));
  const cross = blocks.slice(1).map((next, l) => crossBlock(blocks[l], next));
  const D = sizes.reduce((x, y) => x + y);
  const starts = sizes.map((_, l) => sizes.slice(0, l).reduce((x, y) => x + y, 0));
  const F̂ = new Float64Array(D * D);
  for (let q = 0; q < blocks.length; q++) {
    let block = diagonal[q];
    for (let p = q; p >= 0; p--) { // F̂_pq = F̃_p,p+1 F̃_p+1⁻¹ F̂_p+1,q
      if (p < q) {
        const inner = p + 1 === q ? block : solve(diagonal[p + 1], block);
        block = p + 1 === q ? cross[p] : product(cross[p], inner, sizes[p], sizes[p + 1], sizes[q]);
      }
      block.forEach((value, at) => {
        const [i, j] = [starts[p] + Math.floor(at / sizes[q]), starts[q] + at % sizes[q]];
        F̂[i * D + j] = F̂[j * D + i] = value;
      });
    }
  }
  return F̂;
}

/** `E[g g'ᵀ] ⊗ E[a a'ᵀ]` of neighbours. */
function crossBlock(x: DenseBlock, y: DenseBlock): Dense {
  const n = 1 / y.weight, rows = x.dIn * x.dOut, columns = y.dIn * y.dOut;
  const a = (i: number, j: number) =>
    x.places.slice(0, n).reduce((sum, { a: [left] }, b) => sum + left[i] * y.places[b].a[0][j], 0) /
    n;
  const g = (o: number, p: number) =>
    x.places.reduce((sum, { g: [left] }, b) => sum + left[o] * y.places[b].g[0][p], 0) * x.weight;
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    return g(Math.floor(row / x.dIn), Math.floor(column / y.dIn)) * a(row % x.dIn, column % y.dIn);
  });
}

/** A batch twice, the inputs of its second half times `sign`. */
function doubled(layer: RequestLayer, sign: number): RequestLayer {
  const twice = (field: string, factor: number) => {
    const { dtype, shape, data } = layer[field] as {
      dtype: string;
      shape: number[];
      data: Float32Array;
    };
    const both = Float32Array.from([...data, ...data.map((value) => factor * value)]);
    return { dtype, shape: [2 * shape[0], ...shape.slice(1)], data: both };
  };
  return {
    ...layer,
    inputs: twice("inputs", sign),
    output_gradients: twice("output_gradients", 1),
  };
}

function gradients(model: Model): Dense {
  return joined(Object.values(model).flatMap((layer) => gradientOf(layer)));
}

/** The updates of all layers as one vector. */
async function updates(
  engine: Engine,
  model: Model,
  parameters: Record<string, unknown>,
): Promise<Dense> {
  const { layers } = await call(engine, "updates", {
    layers: model,
    damping: LAMBDA,
    ...parameters,
  });
  return joined(
    Object.entries(model).flatMap(([name, layer]) => {
      const { update, bias_update: bias } = layers![name];
      return matricesOf(layer, numbers(update), bias === undefined ? undefined : numbers(bias));
    }),
  );
}

function times(M: Dense, x: Dense): Dense {
  return product(M, x, x.length, x.length, 1);
}
