/**
 * Golden cases as layers of requests, and answers as the cases write them.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import type { WireTensor } from "@/wire/mod.ts";
import {
  type AnswerLayer,
  call,
  callLayer,
  numbers,
  type RequestLayer,
  wire,
} from "../support/calls.ts";
import { kronecker, plus, product, transposed } from "../support/dense.ts";
import { matricesOf } from "../support/dense_fisher.ts";
import { type GoldenCase, type GoldenTensor, tensorOf } from "../support/golden.ts";

export type Results = Record<string, ArrayLike<number>>;
export type Layout = "oi" | "io";

export interface ConvParams {
  readonly kernel: [number, number];
  readonly stride: [number, number];
  readonly padding: [number, number];
  readonly dilation: [number, number];
  readonly groups: number;
  readonly bias: boolean;
}

/** Inputs, output gradients and gradients of `a0, g0, dW0, a1, …`. */
export function model({ inputs, params }: GoldenCase, layout: Layout) {
  const layers: Record<string, RequestLayer> = {};
  for (let l = 0; inputs[`a${l}`]; l++) {
    layers[`l${l}`] = {
      ...dense(inputs[`dW${l}`], params.bias ?? false, layout),
      inputs: tensorOf(inputs[`a${l}`]),
      output_gradients: tensorOf(inputs[`g${l}`]),
    };
  }
  return { layers, params };
}

/** A dense layer with the gradient of a case, whose last column is the bias's. */
export function dense(
  { shape: [dOut, columns], data }: GoldenTensor,
  bias: boolean,
  layout: Layout,
) {
  const dIn = columns - Number(bias);
  const [weights, biases] = split(data, dIn, bias);
  const inLayout = layout === "oi" ? weights : transposed(Float64Array.from(weights), dOut, dIn);
  return {
    kind: "dense",
    bias,
    layout,
    gradient: wire(layout === "oi" ? [dOut, dIn] : [dIn, dOut], inLayout),
    ...(bias ? { bias_gradient: wire([dOut], biases) } : {}),
  };
}

export function split(data: number[], features: number, bias: boolean): [number[], number[]] {
  const width = features + Number(bias);
  return [
    data.filter((_, at) => at % width < features),
    bias ? data.filter((_, at) => at % width === features) : [],
  ];
}

export function withoutGradient(layer: RequestLayer): RequestLayer {
  const { gradient: _, bias_gradient: _b, ...rest } = layer;
  return rest;
}

/** The update of one layer as the cases have it: `[d_out, d_in]` with the bias's column joined. */
export async function updateOf(
  engine: Engine,
  layer: RequestLayer,
  parameters: Record<string, unknown>,
): Promise<number[]> {
  return joined(layer, await callLayer(engine, "updates", layer, parameters));
}

export async function updatesOf(
  engine: Engine,
  layers: Record<string, RequestLayer>,
  parameters: Record<string, unknown>,
): Promise<Results> {
  const { layers: answered } = await call(engine, "updates", { layers, ...parameters });
  return Object.fromEntries(
    Object.entries(layers).map(([name, layer], l) => [
      `update${l}`,
      joined(layer, answered![name]),
    ]),
  );
}

export function joined(layer: RequestLayer, { update, bias_update }: AnswerLayer): number[] {
  const bias = bias_update === undefined ? undefined : numbers(bias_update);
  return matricesOf(layer, numbers(update), bias).flatMap((block) => [...block]);
}

/** `(Q_G ⊗ Q_A) diag(S) (Q_G ⊗ Q_A)ᵀ`. */
export function spectral(Q_G: number[], S: number[], Q_A: number[]): Float64Array {
  const r = Math.sqrt(Q_G.length), c = Math.sqrt(Q_A.length), D = r * c;
  const K = Float64Array.from({ length: D * D }, (_, at) => {
    const [row, column] = [Math.floor(at / D), at % D];
    return Q_G[Math.floor(row / c) * r + Math.floor(column / c)] *
      Q_A[(row % c) * c + column % c];
  });
  const KS = K.map((value, at) => value * S[at % D]);
  return product(KS, transposed(K, D), D);
}

/** `Σ_r G_r ⊗ A_r` of an answer's terms. */
export function denseTerms({ A_terms, G_terms }: AnswerLayer): Float64Array {
  const [A, G] = [A_terms, G_terms].map((terms) => {
    const all = Float64Array.from(numbers(terms)), rank = (terms as WireTensor).shape[0];
    const size = all.length / rank;
    return Array.from({ length: rank }, (_, r) => all.slice(r * size, (r + 1) * size));
  });
  return A.map((each, r) => kronecker(G[r], each)).reduce((x, y) => plus(x, y));
}

/** `[n, d, …]` as `[n, d, d]`. */
export function square({ shape: [n, d] }: GoldenTensor): number[] {
  return [n, d, d];
}

/** `[n, k, d]` as `[k, n, d]`. */
export function byBackprop({ shape: [n, k, d], data }: GoldenTensor): number[] {
  return Array.from({ length: data.length }, (_, at) => {
    const [b, i, o] = [Math.floor(at / (n * d)), Math.floor(at / d) % n, at % d];
    return data[(i * k + b) * d + o];
  });
}

/** `I [d, d]` for each of n examples. */
export function identities(n: number, d: number): number[] {
  return Array.from({ length: n * d * d }, (_, at) => Number((at % (d * d)) % (d + 1) === 0));
}

export function fields(layer: AnswerLayer, ...names: string[]): Results {
  return Object.fromEntries(names.map((name) => [name, numbers(layer[name])]));
}

export function damped({ damping }: GoldenCase["params"]): { damping: number } {
  return { damping };
}

export function dataOf(value: GoldenCase["expected"][string]["value"]): number[] {
  return typeof value === "number" ? [value] : Array.isArray(value) ? value : value.data;
}

export function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((x, y) => x + y, 0);
}
