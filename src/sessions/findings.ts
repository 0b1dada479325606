/**
 * What a refresh finds out beside its preconditioner, factor by factor: spectrum, drift, and how good the result is.
 *
 * Spectra are of eigenvalues where the method had to find them, else of the diagonal (linalg/spectrum.ts). Nothing here is read
 * yet: it comes with the answer's own read.
 *
 * @module
 */
import type { Tensor1D } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import {
  readDiagonal,
  readEigenvalues,
  type Report,
  type Spectrum,
  type SpectrumReading,
  type Stack,
} from "@/linalg/mod.ts";
import { driftsOf, factorOf } from "./drift.ts";
import type { LayerState } from "./state.ts";

/** What is known of one factor of a layer since its last refresh; the extremes of a stack's matrices. */
export interface FactorDiagnostics extends Partial<Report> {
  readonly spectrum?: Spectrum;
  /** Of the average from the preconditioner that was replaced. */
  readonly drift?: number;
}

/** The same before it was read. */
export interface Finding {
  readonly reports: readonly Report[];
  readonly spectrum?: SpectrumReading;
  readonly drift?: Tensor1D;
}

/** By factor. */
export type Findings = Readonly<Record<string, Finding>>;

/** Averages whose spectrum is told; S is of the preconditioner itself. */
const TOLD = ["A", "G", "frequencies", "deltaPhi", "deltaPsi", "L", "R", "M", "F"];
/** Of two Kronecker terms the leading one's. */
const LEADING = /^terms\/0\/([AG])$/;

/**
 * The findings of a layer's refresh; their tensors belong to the current scope.
 *
 * @param before the layer with the averages that were refreshed and the preconditioner it had.
 * @param forms the new preconditioner. @param eigenvalues of factors, where they were found.
 */
export function findingsOf(
  before: LayerState,
  { forms, reports, spectra = {} }: {
    readonly forms: NamedTensors;
    readonly reports: Readonly<Record<string, Report[]>>;
    readonly spectra?: NamedTensors;
  },
): Findings {
  const drifts = driftsOf(before);
  const readings: Record<string, SpectrumReading> = {};
  for (const [name, X] of Object.entries(before.averages)) {
    const factor = LEADING.exec(name)?.[1] ?? factorOf(name);
    if (!TOLD.includes(name) && !LEADING.test(name)) continue;
    if (spectra[factor]) readings[factor] = readEigenvalues(spectra[factor]);
    else if (X.rank === 3) readings[factor] = readDiagonal(X as Stack);
    else readings[factor] = readEigenvalues(X); // a diagonal matrix
  }
  if (forms.S) readings.S = readEigenvalues(forms.S);
  const factors = new Set([reports, readings, drifts].flatMap((each) => Object.keys(each)));
  return Object.fromEntries(
    [...factors].map((factor) => [factor, {
      reports: reports[factor] ?? [],
      spectrum: readings[factor],
      drift: drifts[factor],
    }]),
  );
}
