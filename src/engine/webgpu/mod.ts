export { type AdapterFacts, probeAdapter } from "./device.ts";
export {
  engineOfBackend,
  openWebGpuEngine,
  type WebGpuEngine,
  type WebGpuEngineOptions,
} from "./engine.ts";
export { type Binding, defineKernel, type Kernel, type KernelDefinition } from "./kernel.ts";
export type { Dispatch, IndirectCounts, Recording, Uniforms } from "./recording.ts";
export { type AdapterClass, type Tuning, TUNINGS } from "./tuning.ts";
