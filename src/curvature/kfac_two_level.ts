/**
 * Two-level K-FAC: the block-diagonal solve, and a correction in a coarse space that sees all layers at once.
 *
 *   ζ = P⁻¹ ∇,   β = (R₀ (F + λI) R₀ᵀ)⁻¹ R₀ (∇ − (F + λI) ζ),   U = ζ + R₀ᵀ β
 *
 * P is damped K-FAC; each row of R₀ is supported on one layer, a coefficient matrix c_l of unit norm. F is the Fisher of all
 * layers, cross blocks included, and only ever multiplied with: `⟨c_k, F c_m⟩ = w Σ_i j_ki j_mi` with `j_ki = ⟨P_i, c_k⟩`.
 * After the correction nothing is left of the residual in the coarse space: `R₀(∇ − (F + λI) U) = 0`.
 *
 * Coarse spaces: `nicolaides` c = 1; `spectral` the eigenvector of P_l's smallest eigenvalue; `residual` P⁻¹ of the
 * residual; `krylov_nicolaides` 1 and P⁻¹1; `tselepidis` c = 1, added with right-hand side R₀∇ and F's Kronecker-factored
 * coarse matrix.
 *
 * Source: Koroko et al. 2023, arXiv:2303.18083; `tselepidis`: Tselepidis et al. 2020, arXiv:2011.00573.
 *
 * @module
 */
import {
  add,
  dispose,
  div,
  equal,
  expandDims,
  greater,
  matMul,
  min,
  mul,
  ones,
  reshape,
  slice,
  sqrt,
  square,
  stack,
  sub,
  sum,
  type Tensor1D,
  tensor1d,
  type Tensor2D,
  type Tensor3D,
  tidy,
  tile,
  where,
  zerosLike,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import { type LinearAlgebra, outer, type Stack, symmetrize } from "@/linalg/mod.ts";
import { eigenbasisOf } from "./eigenbasis.ts";
import { shifts, splitRatio } from "./damping.ts";
import { kroneckerFactors } from "./kfac.ts";
import { expectSameExamples } from "./kfac_tridiagonal.ts";
import {
  type KroneckerFactors,
  KroneckerInverse,
  kroneckerPreconditioner,
} from "./kronecker_factors.ts";
import type {
  Context,
  ModelLayer,
  ModelMethod,
  ModelPreconditioner,
  Preconditioner,
} from "./method.ts";
import type { Samples } from "./samples.ts";

/** A row of R₀: its layer and its coefficients. */
interface Row {
  readonly layer: number;
  readonly c: Tensor3D;
}

/** Everything one damping needs. */
interface Level {
  readonly layers: readonly ModelLayer<Samples>[];
  readonly factors: readonly KroneckerFactors[];
  readonly P: readonly Preconditioner[];
  readonly damping: number;
  readonly context: Context;
}

export const kfacTwoLevel: ModelMethod<Samples> = {
  refresh(layers, context) {
    return twoLevelPreconditioner(
      layers,
      layers.map(({ samples }) => kroneckerFactors(samples)),
      context,
    );
  },
};

/** The preconditioner whose P is of these factors, which it takes over, and whose F is of the layers' samples. */
export async function twoLevelPreconditioner(
  layers: readonly ModelLayer<Samples>[],
  factors: readonly KroneckerFactors[],
  context: Context,
): Promise<ModelPreconditioner> {
  expectSameExamples(layers);
  const levels = await Promise.all(
    context.options.dampings.map(async (damping): Promise<Level> => {
      const options = { ...context.options, dampings: [damping] };
      const P = await Promise.all(
        layers.map(({ layer: { name } }, l) =>
          kroneckerPreconditioner(factors[l], { ...context, name, options })
        ),
      );
      return { layers, factors, P, damping, context: { ...context, options } };
    }),
  );
  return {
    reports: levels[0].P.map(({ reports }) => reports),
    forms: levels[0].P.map(({ forms }, l) => ({ ...forms, A: factors[l].A, G: factors[l].G })),
    apply: (gradients) => Promise.all(levels.map((level) => correct(level, gradients))),
    multiply: (vectors) =>
      tidy(() => {
        const q = directional(layers, vectors);
        return layers.map(({ samples }) => fisherTimes(samples, q));
      }),
    dispose: () => {
      for (const { P } of levels) for (const p of P) p.dispose();
      dispose(factors.map(({ A, G }) => [A, G]));
    },
  };
}

/** The same updates from the forms of such a preconditioner (of one damping) and its layers' samples. */
export function solveTwoLevel(
  layers: readonly ModelLayer<Samples>[],
  forms: readonly { A_inv: Stack; G_inv: Stack; A: Stack; G: Stack }[],
  gradients: readonly Tensor3D[],
  context: Context,
): Promise<Tensor3D[]> {
  const P = forms.map((of) => new KroneckerInverse(of));
  const [damping] = context.options.dampings;
  return correct({ layers, factors: forms, P, damping, context }, gradients);
}

/** `U = ζ + R₀ᵀβ`. */
async function correct(level: Level, gradients: readonly Tensor3D[]): Promise<Tensor3D[]> {
  const { P, context: { linalg, options } } = level;
  const zeta = P.map((p, l) => p.apply(gradients[l])[0]);
  const isAdditive = options.coarseSpace === "tselepidis";
  const rows = await coarseRows(level, gradients, zeta);
  const coarse = isAdditive ? kroneckerCoarse(level, rows) : fisherCoarse(level, rows);
  const rhs = isAdditive || options.rhs === "gradient"
    ? tidy(() => rowProducts(rows, gradients))
    : residualOf(level, rows, gradients, zeta);
  // λ R₀R₀ᵀ is in the coarse matrix already
  const beta = tensor1d(await solveDependent(linalg, coarse, rhs));
  const updates = tidy(() =>
    zeta.map((z, l) =>
      rows.reduce(
        (u, { layer, c }, k) => layer === l ? add(u, mul(c, slice(beta, k, 1))) : u,
        z.clone() as Tensor3D,
      )
    )
  );
  dispose([coarse, rhs, beta, ...zeta, ...rows.map(({ c }) => c)]);
  return updates;
}

/** Below it, relative to a diagonal of ones, a row of R₀ is taken to depend on the others: what float32 left of it is noise. */
const DEPENDENT = 1e-5;

/**
 * `β` with `C β = r` for a positive semidefinite `C [1, m, m]`, of the least norm where rows of R₀ depend on each other: the
 * correction R₀ᵀβ is of their span alone. On the host, in float64, of a diagonal scaled to ones.
 *
 * @throws CurvdError `overflow` where a value left float32.
 */
async function solveDependent(
  linalg: LinearAlgebra,
  C: Stack,
  r: Tensor1D,
): Promise<Float32Array<ArrayBuffer>> {
  const [matrix, rhs] = await linalg.read([C, r]);
  const m = rhs.length;
  if (![...matrix, ...rhs].every(Number.isFinite)) {
    throw new CurvdError("overflow", "The coarse matrix of the two levels leaves float32's range", {
      suggestion: "scaled inputs or gradients",
    });
  }
  const scale = Float64Array.from(rhs, (_, i) => {
    const diagonal = matrix[i * (m + 1)];
    return diagonal > 0 ? 1 / Math.sqrt(diagonal) : 0; // a row of zeros adds nothing
  });
  const scaled = Float64Array.from(
    matrix,
    (value, at) => value * scale[Math.floor(at / m)] * scale[at % m],
  );
  const { values, vectors } = await linalg.float64.eigh(scaled, m);
  const along = values.map((value, k) => {
    if (value <= DEPENDENT) return 0;
    let product = 0;
    for (let i = 0; i < m; i++) product += vectors[i * m + k] * scale[i] * rhs[i];
    return product / value;
  });
  return Float32Array.from(rhs, (_, i) => {
    let sum = 0;
    for (let k = 0; k < m; k++) sum += vectors[i * m + k] * along[k];
    return scale[i] * sum;
  });
}

async function coarseRows(
  level: Level,
  gradients: readonly Tensor3D[],
  zeta: readonly Tensor3D[],
): Promise<Row[]> {
  const { layers, P, context: { options } } = level;
  const constant = () => gradients.map((V) => tidy(() => unit(ones(V.shape))));
  const rowsOf = (each: Tensor3D[]): Row[] => each.map((c, layer) => ({ layer, c }));
  switch (options.coarseSpace) {
    case "nicolaides":
    case "tselepidis":
      return rowsOf(constant());
    case "krylov_nicolaides": {
      const first = constant();
      const second = first.map((c, l) => {
        const [image] = P[l].apply(c);
        const row = unit(image);
        dispose(image);
        return row;
      });
      return [...rowsOf(first), ...rowsOf(second)];
    }
    case "residual": {
      const r = tidy(() => {
        const q = directional(layers, zeta);
        return gradients.map((V, l) =>
          sub<Tensor3D>(V, add(fisherTimes(layers[l].samples, q), mul(zeta[l], level.damping)))
        );
      });
      const rows = r.map((residual, l) => {
        const [image] = P[l].apply(residual);
        const row = unit(image);
        dispose([image, residual]);
        return row;
      });
      return rowsOf(rows);
    }
    case "spectral":
      return rowsOf(await Promise.all(layers.map((_, l) => smallestEigenvector(level, l))));
  }
}

/** The eigenvector of P_l's smallest eigenvalue, `[b, d_out, d_in]`: of the block that has it, zero in the others. */
async function smallestEigenvector(
  { layers, factors, damping, context: { linalg, options } }: Level,
  l: number,
): Promise<Tensor3D> {
  const { name } = layers[l].layer;
  const { Q_A, Q_G, lambda_A, lambda_G } = await eigenbasisOf(linalg, name, factors[l]);
  const pi = await splitRatio(options.pi, factors[l], { name, linalg });
  const shift = shifts(options.dampingRule === "plain" ? "plain" : "factored", damping, pi);
  const row = tidy(() => {
    const least = (lambda: Tensor2D, delta: Tensor1D): Tensor1D => add(min(lambda, 1), delta);
    const eigenvalue = mul<Tensor1D>(least(lambda_A, shift.A), least(lambda_G, shift.G));
    const first = (Q: Stack): Tensor2D =>
      reshape(slice(Q, [0, 0, 0], [Q.shape[0], Q.shape[1], 1]), [Q.shape[0], -1]); // ascending
    const c = outer(first(Q_G), first(Q_A));
    const isLeast = reshape(equal(eigenvalue, min(eigenvalue)), [-1, 1, 1]);
    return unit(where(isLeast, c, zerosLike(c)));
  });
  dispose([Q_A, Q_G, lambda_A, lambda_G, pi, shift.A, shift.G]);
  return row;
}

/** `R₀ (F + λI) R₀ᵀ [1, m, m]`. */
function fisherCoarse({ layers, damping }: Level, rows: readonly Row[]): Stack {
  return tidy(() => {
    const J = stack(rows.map(({ layer, c }) => perPair(layers[layer].samples, c))) as Tensor2D;
    const fisher = mul(matMul(J, J, false, true), layers[0].samples.weight);
    const damped = add(fisher, mul(rowGram(rows), damping));
    return symmetrize(expandDims<Stack>(damped, 0));
  });
}

/** Tselepidis: `F_c[i, j] = (1ᵀA_ij 1)(1ᵀG_ij 1)` of the unit rows, the Kronecker-factored cross blocks, plus λI. */
function kroneckerCoarse({ layers, damping }: Level, rows: readonly Row[]): Stack {
  const { weight, examples } = layers[0].samples;
  return tidy(() => {
    const sums = layers.map(({ samples }) => {
      const row = samples.rows();
      if (!row) {
        throw new CurvdError(
          "unsupported",
          `Layer "${samples.layer}": coarse space tselepidis needs layers applied once to each example`,
          { layer: samples.layer, suggestion: "another coarse_space" },
        );
      }
      const norm = (samples.dIn * samples.dOut) ** -0.25; // of the row, half on each side
      return {
        a: mul<Tensor1D>(reshape(sum(row.a, 2), [-1]), norm),
        g: mul<Tensor1D>(reshape(sum(row.g, 2), [-1]), norm),
      };
    });
    const a = stack(sums.map(({ a }) => a)) as Tensor2D,
      g = stack(sums.map(({ g }) => g)) as Tensor2D;
    const fisher = mul(
      mul(matMul(a, a, false, true), 1 / examples),
      mul(matMul(g, g, false, true), weight),
    );
    return symmetrize(expandDims<Stack>(add(fisher, mul(rowGram(rows), damping)), 0));
  });
}

/** `R₀ (∇ − (F + λI) ζ) [m]`, without forming Fζ. */
function residualOf(
  { layers, damping }: Level,
  rows: readonly Row[],
  gradients: readonly Tensor3D[],
  zeta: readonly Tensor3D[],
): Tensor1D {
  return tidy(() => {
    const q = directional(layers, zeta);
    const fisher = stack(
      rows.map(({ layer, c }) =>
        mul(sum(mul(perPair(layers[layer].samples, c), q)), layers[0].samples.weight)
      ),
    );
    const damped = add(fisher, mul(rowProducts(rows, zeta), damping));
    return sub<Tensor1D>(rowProducts(rows, gradients), damped);
  });
}

/** `⟨P_i, V⟩` of every pair, over all blocks of a layer: `[pairs]`. */
function perPair(samples: Samples, V: Tensor3D): Tensor1D {
  return sum(samples.inner(V), 0);
}

/** `q_i = Σ_l ⟨P_li, V_l⟩ [pairs]`: the derivative of pair i's loss along V. */
export function directional(
  layers: readonly ModelLayer<Samples>[],
  V: readonly Tensor3D[],
): Tensor1D {
  return layers.map(({ samples }, l) => perPair(samples, V[l])).reduce((q, more) => add(q, more));
}

/** `(F v)_l = w Σ_i q_i P_li`. */
function fisherTimes(samples: Samples, q: Tensor1D): Tensor3D {
  const everyBlock: Tensor2D = tile(expandDims(q, 0), [samples.groups, 1]);
  return mul(samples.combine(everyBlock), samples.weight);
}

/** `⟨c_k, V⟩ [m]`. */
function rowProducts(rows: readonly Row[], V: readonly Tensor3D[]): Tensor1D {
  return stack(rows.map(({ layer, c }) => sum(mul(c, V[layer])))) as Tensor1D;
}

/** `R₀R₀ᵀ [m, m]`. */
function rowGram(rows: readonly Row[]): Tensor2D {
  return stack(
    rows.map((k) =>
      stack(rows.map((m) => k.layer === m.layer ? sum(mul(k.c, m.c)) : zerosLike(sum(k.c))))
    ),
  ) as Tensor2D;
}

/** `c/‖c‖`, or zero. */
function unit(c: Tensor3D): Tensor3D {
  return tidy(() => {
    const norm = sqrt(sum(square(c)));
    return where(greater(norm, 0), div(c, norm), zerosLike(c));
  });
}
