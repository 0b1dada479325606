/**
 * How λ reaches two Kronecker factors.
 *
 *   factored:  (G + √λ/π I) ⊗ (A + √λ π I),   π = √( (tr A/d_in) / (tr G/d_out) )
 *   plain:     (G + λ I) ⊗ (A + λ I)
 *   exact:      G ⊗ A + λ I,   diagonal in the eigenbasis
 *
 * Source: Martens & Grosse 2015, section 6.3; `plain` is what kfac-pytorch's inverse mode does.
 *
 * @module
 */
import {
  add,
  dispose,
  div,
  greater,
  max,
  maximum,
  mul,
  onesLike,
  pow,
  reshape,
  sqrt,
  square,
  sum,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
  where,
  zerosLike,
} from "@tensorflow/tfjs-core";
import { sumOfSquares } from "@/engine/mod.ts";
import {
  frobeniusNorm,
  type LinearAlgebra,
  outer,
  rootRatio,
  type Stack,
  trace,
} from "@/linalg/mod.ts";
import type { DampingRule } from "./method.ts";

/** Which norm π balances; `off` is π = 1. */
export type PiRule = "trace" | "frobenius" | "spectral" | "off";

/** Two numbers of each block that π is the root of the ratio of, `[b]` each. */
export interface Sizes {
  readonly A: Tensor1D;
  readonly G: Tensor1D;
}

/** What π balances, of each matrix of a stack: `[b]`, the caller disposes it. */
export function sizeOfFactor(rule: Exclude<PiRule, "spectral">, M: Stack): Tensor1D {
  const d = M.shape[1];
  return tidy(() => {
    switch (rule) {
      case "trace":
        return div(trace(M), d);
      case "frobenius":
        return div(frobeniusNorm(M), Math.sqrt(d));
      case "off":
        return onesLike(trace(M));
    }
  });
}

/** The same from eigenvalues `[b, d]`, clipped at 0. */
export function sizeOfSpectrum(rule: PiRule, lambda: Tensor2D): Tensor1D {
  const d = lambda.shape[1];
  return tidy(() => {
    switch (rule) {
      case "trace":
        return div(sum<Tensor1D>(lambda, 1), d);
      case "frobenius":
        return div(sqrt(sum<Tensor1D>(square(lambda), 1)), Math.sqrt(d));
      case "spectral":
        return max(lambda, 1);
      case "off":
        return onesLike(max(lambda, 1));
    }
  });
}

/** π of factors `[b]`; the caller disposes it. `spectral` needs eigenvalues: {@linkcode piOfSpectra}. */
export function piOfFactors(rule: Exclude<PiRule, "spectral">, A: Stack, G: Stack): Tensor1D {
  return tidy(() => piOfSizes({ A: sizeOfFactor(rule, A), G: sizeOfFactor(rule, G) }));
}

/** Matrices that are still on the host, `[b, d, d]`. */
export interface HostStack {
  readonly data: Float32Array;
  readonly shape: readonly [number, number, number];
}

/**
 * π of factors that are on the host, one a block: where they are to go to a device, this takes less time there than telling the
 * device to find it.
 */
export function piOfHostFactors(
  rule: Exclude<PiRule, "spectral">,
  A: HostStack,
  G: HostStack,
): number[] {
  const [a, g] = [A, G].map((factor) => sizesOnHost(rule, factor));
  return a.map((size, block) => {
    const ratio = Math.fround(Math.sqrt(size) / Math.sqrt(g[block]));
    return ratio > 0 && ratio < Infinity ? ratio : 1;
  });
}

/** As {@linkcode sizeOfFactor}. */
function sizesOnHost(
  rule: Exclude<PiRule, "spectral">,
  { data, shape: [b, d] }: HostStack,
): number[] {
  return Array.from({ length: b }, (_, block) => {
    const matrix = data.subarray(block * d * d, (block + 1) * d * d);
    switch (rule) {
      case "trace": {
        let trace = 0;
        for (let at = 0; at < matrix.length; at += d + 1) trace += matrix[at];
        return trace / d;
      }
      case "frobenius":
        return Math.sqrt(sumOfSquares(matrix) / d);
      case "off":
        return 1;
    }
  });
}

/** π of eigenvalues `[b, d]` (clipped at 0), by every rule; the caller disposes it. */
export function piOfSpectra(rule: PiRule, lambda_A: Tensor2D, lambda_G: Tensor2D): Tensor1D {
  return tidy(() =>
    piOfSizes({ A: sizeOfSpectrum(rule, lambda_A), G: sizeOfSpectrum(rule, lambda_G) })
  );
}

/** π of factors by any rule, from eigenvalues where the rule is spectral. `[b]`, the caller disposes it. */
export async function splitRatio(
  rule: PiRule,
  { A, G }: { A: Stack; G: Stack },
  { name, linalg }: { name: string; linalg: LinearAlgebra },
): Promise<Tensor1D> {
  if (rule !== "spectral") return piOfFactors(rule, A, G);
  const bases = await linalg.eigh([
    { name: `${name}.A`, matrix: A },
    { name: `${name}.G`, matrix: G },
  ]);
  const [a, g] = bases.map(({ values }) => clipped(values));
  const pi = piOfSpectra(rule, a, g);
  dispose([a, g, ...bases.flatMap(({ vectors, values }) => [vectors, values])]);
  return pi;
}

/** `√(A/G)`, 1 where either is zero or the root is not finite: a factor of zeros must not pull all damping to one side. */
export function piOfSizes({ A, G }: Sizes): Tensor1D {
  return rootRatio(A, G);
}

/** What is added to the diagonals of A and G under a π of the host, one a block. */
export function hostShifts(
  rule: Exclude<DampingRule, "exact">,
  damping: number,
  pi: readonly number[],
): { A: number[]; G: number[] } {
  if (rule === "plain") return { A: pi.map(() => damping), G: pi.map(() => damping) };
  const gamma = Math.sqrt(damping);
  return { A: pi.map((each) => each * gamma), G: pi.map((each) => gamma / each) };
}

/** What is added to the diagonals of A and G, `[b]` each; the caller disposes them. */
export function shifts(
  rule: Exclude<DampingRule, "exact">,
  damping: number,
  pi: Tensor1D,
): { A: Tensor1D; G: Tensor1D } {
  if (rule === "plain") {
    const shift = (): Tensor1D => tidy(() => mul(onesLike(pi), damping));
    return { A: shift(), G: shift() };
  }
  const gamma = Math.sqrt(damping);
  return { A: mul(pi, gamma), G: div(gamma, pi) };
}

/**
 * The damped spectrum in the eigenbasis, `[b, d_out, d_in]`; the caller disposes it.
 *
 * @param lambda_A `[b, d_in]`, @param lambda_G `[b, d_out]`: eigenvalues, clipped at 0.
 */
export function dampedSpectrum(
  rule: DampingRule,
  damping: number,
  { lambda_A, lambda_G, pi }: { lambda_A: Tensor2D; lambda_G: Tensor2D; pi: Tensor1D },
): Tensor3D {
  return tidy(() => {
    if (rule === "exact") return add(outer(lambda_G, lambda_A), damping);
    const shift = shifts(rule, damping, pi);
    return outer(
      add(lambda_G, reshape(shift.G, [-1, 1])),
      add(lambda_A, reshape(shift.A, [-1, 1])),
    );
  });
}

/** Eigenvalues with rounding's negatives at 0: no approximation here has a negative curvature. */
export function clipped<T extends Tensor2D | Tensor3D>(lambda: T): T {
  return maximum(lambda, 0);
}

/**
 * A spectrum without damping: what is no more than rounding of its largest value is zero, so that dividing by it is refused
 * instead of answered with noise.
 *
 * @param noise relative to the largest value of each block.
 */
export function withoutNoise<T extends Tensor2D | Tensor3D>(spectrum: T, noise: number): T {
  return tidy(() => {
    const axes = spectrum.shape.slice(1).map((_, i) => i + 1);
    const threshold = mul(max(spectrum, axes, true), noise);
    return where(greater(spectrum, threshold), spectrum, zerosLike(spectrum)) as T;
  });
}

/** Relative rounding of eigenvalues of a matrix of d rows, as τ of api.md has it: d·2⁻²³. */
export function eigenvalueNoise(d: number): number {
  return d * 2 ** -23;
}

/** `x ∘ base^exponent`, with the usual −1 as the one division it is. */
export function timesPower<T extends Tensor3D>(x: T, base: T, exponent: number): T {
  return exponent === -1 ? div(x, base) : tidy(() => mul(x, pow(base, exponent)));
}
