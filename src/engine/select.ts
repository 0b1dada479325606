/**
 * Which engine runs, and why.
 *
 * A hardware adapter wins. A software adapter never does: OpenBLAS was 20 to 340 times faster than software Vulkan, which is
 * for tests and runs only where it is asked for by name.
 *
 * @module
 */
import type { Engine, EngineKind } from "./engine.ts";
import type { Blas } from "./cpu/blas/blas.ts";
import { openBlas } from "./cpu/blas/open.ts";
import { blasFloat64 } from "./cpu/blas/float64.ts";
import { builtInFloat64 } from "./cpu/built_in/float64.ts";
import { openCpuEngine } from "./cpu/engine.ts";
import { openWebGpuEngine, probeAdapter } from "./webgpu/mod.ts";

export interface EngineOptions {
  /** `auto`: WebGPU where there is a hardware adapter. */
  readonly engine: "auto" | EngineKind;
  /** `auto`, `off`, or a library's path. */
  readonly blas: string;
}

/**
 * Opens an engine and makes its backend TensorFlow.js's current one.
 *
 * @throws CurvdError `unsupported` where WebGPU is asked for and there is no adapter, or the BLAS named does not open.
 */
export async function openEngine({ engine, blas: setting }: EngineOptions): Promise<Engine> {
  const blas = openBlas(setting);
  const openCpu = (why: string) =>
    openCpuEngine({ blas, reason: `${why} ${arithmeticOf(blas, setting)}` });
  if (engine === "cpu") return openCpu("It was asked for.");

  const adapter = await probeAdapter();
  const isHardware = adapter !== null && !adapter.software;
  if (engine === "auto" && !isHardware) {
    return openCpu(
      adapter === null
        ? "There is no WebGPU adapter."
        : `The only WebGPU adapter (${adapter.description}) is software, slower than this engine.`,
    );
  }
  return openWebGpuEngine({
    float64: blas ? blasFloat64(blas) : builtInFloat64,
    reason: engine === "auto"
      ? `There is a hardware WebGPU adapter (${adapter!.description}).`
      : "It was asked for.",
  });
}

/** What the cpu engine computes with, in a sentence. */
function arithmeticOf(blas: Blas | null, setting: string): string {
  if (blas !== null) return `Its BLAS is ${blas.library} (${blas.facts.path}).`;
  const lack = setting === "off" ? "The BLAS is off" : "No BLAS was found";
  return `${lack}: the built-in arithmetic computes.`;
}
