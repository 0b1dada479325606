/**
 * What is told of a symmetric matrix's spectrum: quantiles, the largest eigenvalue, the stable rank.
 *
 * Of eigenvalues where they are known. Else of the diagonal, which the eigenvalues majorise (Schur–Horn: the largest entry is at
 * most λ_max, the least at least λ_min), with ‖M‖_F and a λ_max of power steps: n², where the eigenvalues would take n³.
 *
 *   stable rank = ‖M‖_F² / ‖M‖₂²
 *
 * A stack is taken as the block-diagonal matrix it stands for.
 *
 * @module
 */
import {
  abs,
  div,
  matMul,
  max,
  maximum,
  reshape,
  type Scalar,
  sqrt,
  square,
  stridedSlice,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor3D,
  tensor3d,
  tidy,
  tile,
} from "@tensorflow/tfjs-core";
import type { Stack } from "./linear_algebra.ts";
import { diagonal } from "./matrix.ts";
import { PROBES, sign } from "./probes.ts";

/** Power steps: λ_max from below, within a few per cent where the spectrum falls at all. */
const POWER_STEPS = 4;
/** Of a longer spectrum evenly spaced values are taken. */
const MOST_VALUES = 4096;
/** Least norm that is divided by. */
const TINY = 1e-30;

/** What is read of a spectrum; the caller disposes them. */
export interface SpectrumReading {
  readonly source: "eigenvalues" | "diagonal";
  /** Eigenvalues or diagonal entries, at most {@linkcode MOST_VALUES}. */
  readonly values: Tensor1D;
  /** ‖M‖_F. */
  readonly norm: Scalar;
  /** ‖M‖₂. */
  readonly largest: Scalar;
}

export interface Spectrum {
  readonly source: SpectrumReading["source"];
  /** Of `source`, by nearest rank. */
  readonly quantiles: {
    readonly min: number;
    readonly p10: number;
    readonly p25: number;
    readonly median: number;
    readonly p75: number;
    readonly p90: number;
    readonly max: number;
  };
  /** ‖M‖₂: the largest eigenvalue, an estimate from below where the source is the diagonal. */
  readonly largest: number;
  /** ‖M‖_F²/‖M‖₂²; 0 of a zero matrix. */
  readonly stableRank: number;
}

/** Of known eigenvalues, of any shape; of a diagonal matrix these are its entries. */
export function readEigenvalues(eigenvalues: Tensor): SpectrumReading {
  return tidy(() => ({
    source: "eigenvalues" as const,
    values: sampled(eigenvalues),
    norm: size(eigenvalues),
    largest: max<Scalar>(abs(eigenvalues)),
  }));
}

/** Of a stack whose eigenvalues are not known. */
export function readDiagonal(M: Stack): SpectrumReading {
  return tidy(() => ({
    source: "diagonal" as const,
    values: sampled(diagonal(M)),
    norm: size(M),
    largest: spectralNorm(M),
  }));
}

/** `‖x‖₂` of all values. (`tf.norm` takes powers of absolute values: three times the time.) */
function size(x: Tensor): Scalar {
  return sqrt(sum<Scalar>(square(x)));
}

/** `‖M‖₂` of the largest block, by power steps on a few vectors of random signs; from below. */
function spectralNorm(M: Stack): Scalar {
  const [b, d] = M.shape;
  const signs = Float32Array.from(
    { length: d * PROBES },
    (_, at) => sign(at % PROBES, Math.floor(at / PROBES)),
  );
  let x: Tensor3D = tile(tensor3d(signs, [1, d, PROBES]), [b, 1, 1]);
  let lengths = columnNorms(x);
  for (let step = 0; step < POWER_STEPS; step++) {
    x = matMul(M, div<Tensor3D>(x, maximum(lengths, TINY)));
    lengths = columnNorms(x);
  }
  return max(lengths);
}

function columnNorms(x: Tensor3D): Tensor3D {
  return sqrt(sum(square(x), 1, true));
}

function sampled(values: Tensor): Tensor1D {
  const flat: Tensor1D = reshape(values, [values.size]);
  const stride = Math.ceil(values.size / MOST_VALUES);
  return stride === 1 ? flat.clone() : stridedSlice(flat, [0], [values.size], [stride]) as Tensor1D;
}

/** The summary of what was read. @param reading its three tensors' values, in order. */
export function spectrumOf(
  source: SpectrumReading["source"],
  values: Float32Array,
  norm: number,
  largest: number,
): Spectrum {
  const sorted = values.toSorted();
  const at = (quantile: number) =>
    sorted[Math.min(Math.floor(quantile * sorted.length), sorted.length - 1)];
  return {
    source,
    quantiles: {
      min: at(0),
      p10: at(0.1),
      p25: at(0.25),
      median: at(0.5),
      p75: at(0.75),
      p90: at(0.9),
      max: at(1),
    },
    largest,
    stableRank: largest > 0 ? (norm / largest) ** 2 : 0,
  };
}
