/**
 * Curvature: layers, their statistics, and the methods that precondition with them.
 *
 * @module
 */
export * from "./layer/mod.ts";
export { type Fisher, meanGradient, type PairProducts, type Samples } from "./samples.ts";
export {
  clipped,
  type HostStack,
  piOfFactors,
  piOfHostFactors,
  piOfSizes,
  piOfSpectra,
  type PiRule,
  shifts,
  sizeOfFactor,
  sizeOfSpectrum,
} from "./damping.ts";
export * from "./method.ts";
export { dampedInverses, KroneckerInverse } from "./kronecker_factors.ts";
export { approximationsOf, termsOnHost } from "./approximation.ts";
export {
  denseApproximation,
  denseFisher,
  type HostApproximation,
  relativeError,
  singularValues,
  squaredError,
} from "./approximation_error.ts";
export { type HostSamples, hostSamples } from "./host_samples.ts";
export { rootFactors, traceFactors } from "./tkfac.ts";
export { type Cost, costOf, type LayerSize, type StageFlops, total as totalFlops } from "./cost.ts";
export { heldBytes, workingBytes } from "./memory.ts";
export { klClipFactor } from "./kl_clip.ts";
export * from "./quadratic_model.ts";
export * from "./registry.ts";
export {
  findCorrectedTerms,
  findLeadingTerm,
  findTermsByDeflation,
  findTermsByLanczos,
  type TermFinder,
  termsPreconditioner,
} from "./kpsvd.ts";
export type { KroneckerTerms } from "./pairs/term.ts";
export { kroneckerSpectral } from "./eigenbasis.ts";
export { scaledPreconditioner } from "./ekfac.ts";
export { embeddingInverse, embeddingInverses } from "./embedding_block.ts";
export { gradientSecondMoments, transported } from "./ekfac.ts";
export {
  type ChainFactors,
  chainFactors,
  chainPreconditioner,
  type LinkForms,
  solveChain,
} from "./kfac_tridiagonal.ts";
export { solveTwoLevel, twoLevelPreconditioner } from "./kfac_two_level.ts";
export * from "./levenberg_marquardt.ts";
export * from "./named_tensors.ts";
export { applyForms, isDampingFree } from "./restore.ts";
export * from "./running_average.ts";
export * from "./shampoo.ts";
export * from "./soap.ts";
export { attributed, naming, sideBySide } from "./side_by_side.ts";
