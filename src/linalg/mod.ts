/**
 * Dense linear algebra on either engine.
 *
 * @module
 */
export type {
  EighProblem,
  EighResult,
  InverseResult,
  LinearAlgebra,
  Report,
  RootProblem,
  RootResult,
  ShiftedProblem,
  Stack,
  SymmetricProblem,
  WhitenerResult,
} from "./linear_algebra.ts";
export { startHelpers } from "./crew/mod.ts";
export * from "./matrix.ts";
export { inSharedScope } from "./scope.ts";
export { type PencilProblem, type PencilResult, simultaneousDiagonalization } from "./pencil.ts";
export { type Outcome, settle, type Settled, type SettleOptions } from "./settle.ts";
export { basisDrift, relativeChange } from "./drift.ts";
export {
  readDiagonal,
  readEigenvalues,
  type Spectrum,
  spectrumOf,
  type SpectrumReading,
} from "./spectrum.ts";
