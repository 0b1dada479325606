/**
 * The engines: what lends TensorFlow.js a backend.
 *
 * @module
 */
export type { Engine, EngineFacts, EngineKind, EngineMemory } from "./engine.ts";
export * from "./host.ts";
export { type EngineOptions, openEngine } from "./select.ts";
export { CpuEngine } from "./cpu/engine.ts";
export * from "./webgpu/mod.ts";
