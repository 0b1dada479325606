/**
 * The engines: what lends TensorFlow.js a backend.
 *
 * @module
 */
export type { Engine, EngineFacts, EngineKind, EngineMemory } from "./engine.ts";
export type { FailedPivot, Float64 } from "./float64.ts";
export { type EngineOptions, openEngine } from "./select.ts";
export type { Blas } from "./cpu/blas/blas.ts";
export type { Lane } from "./cpu/blas/threads.ts";
export { float64Within } from "./cpu/blas/float64.ts";
export { CpuEngine } from "./cpu/engine.ts";
export { mirrorLower } from "./cpu/mirror.ts";
export { turn } from "./cpu/turn.ts";
export * from "./webgpu/mod.ts";
