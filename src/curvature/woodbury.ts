/**
 * K-FAC's update without its factors, where a batch has fewer rows than the layer is wide.
 *
 *   (s XᵀX + δI)⁻¹ = ( I − Xᵀ (X Xᵀ + (δ/s) I)⁻¹ X ) / δ
 *
 * With N rows and width d that is an N × N inverse instead of a d × d one. It pays for one update from raw
 * statistics; where the inverse is kept for many, the factor's own is better.
 *
 * @module
 */
import {
  dispose,
  div,
  matMul,
  mul,
  sub,
  type Tensor1D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import { gram, type Report, scaleEach, type Stack, transposeEach } from "@/linalg/mod.ts";
import { piOfSizes, type PiRule, shifts, sizeOfFactor } from "./damping.ts";
import type { Context, Preconditioner } from "./method.ts";
import type { Samples } from "./samples.ts";

/** Below this width the plain inverse is cheap enough. */
const LEAST_WIDTH = 256;
/** Rows at most this share of the width: beyond it, the products with X cost what the inverse saves. */
const MOST_ROWS = 0.5;

/** One side of the product: thin rows, or a factor. */
type Side =
  | { readonly rows: Tensor3D; readonly scale: number; readonly inner: Stack } // X, s, X Xᵀ
  | { readonly factor: Stack };

/** The preconditioner straight from a batch, or null where the factors are no longer to form than to avoid. */
export async function woodburyPreconditioner(
  samples: Samples,
  { name, linalg, options }: Context,
): Promise<Preconditioner | null> {
  const { dampings: [damping, ...more], dampingRule, power, pi: piRule } = options;
  if (more.length > 0 || damping === 0 || dampingRule === "exact" || power !== -1) return null;
  if (piRule === "spectral") return null;
  const thin = (width: number, rows: Samples["inputRows"]) =>
    width < LEAST_WIDTH ? null : rows.call(samples, Math.floor(MOST_ROWS * width));
  const inputs = thin(samples.dIn, samples.inputRows);
  const grads = thin(samples.dOut, samples.gradRows);
  if (!inputs && !grads) return null;

  const A: Side = inputs ? { ...inputs, inner: outerGram(inputs.rows) } : {
    factor: samples.inputFactor(),
  };
  const G: Side = grads ? { ...grads, inner: outerGram(grads.rows) } : {
    factor: samples.gradFactor(),
  };
  const pi = tidy(() =>
    piOfSizes({ A: sizeOf(piRule, A, samples.dIn), G: sizeOf(piRule, G, samples.dOut) })
  );
  const delta = shifts(dampingRule, damping, pi);
  const problem = (side: Side, shift: Tensor1D) =>
    "factor" in side
      ? { matrix: side.factor, shift: shift.clone() }
      : { matrix: side.inner, shift: div<Tensor1D>(shift, side.scale) };
  const problems = [problem(A, delta.A), problem(G, delta.G)];
  const [a, g] = await linalg.choleskyInverse([
    { name: `${name}.A`, ...problems[0] },
    { name: `${name}.G`, ...problems[1] },
  ]);
  dispose(problems.map(({ shift }) => shift));
  const reports: Record<string, Report[]> = { A: a.reports, G: g.reports };
  const right = new DampedInverse(A, delta.A, a.inverse);
  const left = new DampedInverse(G, delta.G, g.inverse);
  return {
    reports,
    pi,
    forms: {},
    apply: (V) => [tidy(() => left.timesLeft(right.timesRight(V)))],
    multiply: (V) => tidy(() => timesLeft(G, timesRight(V, A))),
    dispose: () => {
      dispose(pi);
      right.dispose();
      left.dispose();
    },
  };
}

/** `(factor + δI)⁻¹` as a thing to multiply with; takes over what it is given. */
class DampedInverse {
  constructor(
    private readonly side: Side,
    private readonly delta: Tensor1D,
    private readonly inverse: Stack,
  ) {}

  /** `V (…)⁻¹`. */
  timesRight(V: Tensor3D): Tensor3D {
    const { side, inverse } = this;
    if ("factor" in side) return matMul(V, inverse);
    const correction = matMul(matMul(matMul(V, side.rows, false, true), inverse), side.rows);
    return scaleEach(sub(V, correction), div(1, this.delta));
  }

  /** `(…)⁻¹ V`. */
  timesLeft(V: Tensor3D): Tensor3D {
    const { side, inverse } = this;
    if ("factor" in side) return matMul(inverse, V);
    const correction = matMul(side.rows, matMul(inverse, matMul(side.rows, V)), true);
    return scaleEach(sub(V, correction), div(1, this.delta));
  }

  dispose(): void {
    dispose([
      this.delta,
      this.inverse,
      ...Object.values(this.side).filter((t) => typeof t !== "number"),
    ]);
  }
}

/** `X Xᵀ`, symmetric to the bit. */
function outerGram(rows: Tensor3D): Stack {
  return tidy(() => gram(transposeEach(rows), 1));
}

/** What π balances, of `s XᵀX` or of a factor: `[b]`. `tr XᵀX = tr X Xᵀ`, and so for their norms. */
function sizeOf(rule: Exclude<PiRule, "spectral">, side: Side, d: number): Tensor1D {
  if ("factor" in side) return sizeOfFactor(rule, side.factor);
  const { inner, scale } = side;
  const ofInner = sizeOfFactor(rule, inner); // divided by N or √N where the factor's is by d or √d
  if (rule === "off") return ofInner;
  const ratio = inner.shape[1] / d;
  return mul(ofInner, scale * (rule === "trace" ? ratio : Math.sqrt(ratio)));
}

/** `A` or `G` applied from the right: `V A`. */
function timesRight(V: Tensor3D, side: Side): Tensor3D {
  return "factor" in side
    ? matMul(V, side.factor)
    : mul(matMul(matMul(V, side.rows, false, true), side.rows), side.scale);
}

/** The same from the left: `G V`. */
function timesLeft(side: Side, V: Tensor3D): Tensor3D {
  return "factor" in side
    ? matMul(side.factor, V)
    : mul(matMul(side.rows, matMul(side.rows, V), true), side.scale);
}
