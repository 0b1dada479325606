export type { Engine, EngineFacts, EngineKind, EngineMemory } from "./engine.ts";
export type { FailedPivot, Float64 } from "./float64.ts";
export * from "./webgpu/mod.ts";
