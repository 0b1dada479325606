/**
 * A compute kernel: WGSL source, its constants and what it binds, compiled once a device.
 *
 * Definitions are plain values that know no device. Resources are in group 0: the storage buffers
 * in the order of `bindings`, then, if the kernel has one, its uniform block.
 *
 * @module
 */

/** How a kernel uses a storage buffer. */
export type Binding = "read" | "read-write";

export interface KernelDefinition {
  /** `layer.kernel`, so that a validation error names its file. */
  readonly label: string;
  /** WGSL; parts that share declarations are joined before. */
  readonly source: string;
  /** Takes its place where reductions go by subgroups. */
  readonly subgroupSource?: string;
  /** Whether `source` itself uses subgroups: for devices alone that have them. */
  readonly needsSubgroups?: boolean;
  readonly entryPoint: string;
  /** Values of the source's `override` declarations. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Storage buffers at binding 0, 1, …. */
  readonly bindings: readonly Binding[];
  /** Whether a uniform block follows the storage buffers. */
  readonly hasUniforms?: boolean;
}

declare const kernelBrand: unique symbol;
export type Kernel = KernelDefinition & { readonly [kernelBrand]: true };

/** Declares a kernel. Compiled at its first dispatch on a device. */
export function defineKernel(definition: KernelDefinition): Kernel {
  return definition as Kernel;
}

/** A uniform block takes one slot: WebGPU's largest alignment of dynamic offsets. */
export const UNIFORM_SLOT_BYTES = 256;

export interface CompiledKernel {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/**
 * Before the source of a kernel that is one subgroup, where the compiler has to be asked for subgroups: its analysis does not see
 * that a value that was broadcast is the same in all lanes. naga has no such rule, and says so.
 */
export const ONE_SUBGROUP = "diagnostic(off, subgroup_uniformity);\n";

/** The pipelines of one device. */
export class Pipelines {
  readonly #compiled = new Map<Kernel, CompiledKernel>();

  /**
   * @param reducesBySubgroups whether kernels are taken in that form.
   * @param directive the line before sources that use subgroups.
   */
  constructor(
    readonly device: GPUDevice,
    private readonly reducesBySubgroups: boolean,
    private readonly directive = "",
  ) {}

  of(kernel: Kernel): CompiledKernel {
    let compiled = this.#compiled.get(kernel);
    if (compiled === undefined) {
      compiled = this.#compile(kernel);
      this.#compiled.set(kernel, compiled);
    }
    return compiled;
  }

  #compile(kernel: Kernel): CompiledKernel {
    const { label, entryPoint, constants, bindings, hasUniforms = true } = kernel;
    const entries: GPUBindGroupLayoutEntry[] = bindings.map((binding, index) => ({
      binding: index,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: binding === "read" ? "read-only-storage" : "storage" },
    }));
    if (hasUniforms) {
      entries.push({
        binding: bindings.length,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: "uniform", hasDynamicOffset: true },
      });
    }
    const layout = this.device.createBindGroupLayout({ label, entries });
    const pipeline = this.device.createComputePipeline({
      label,
      layout: this.device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
      compute: {
        module: this.device.createShaderModule({ label, code: this.#sourceOf(kernel) }),
        entryPoint,
        constants,
      },
    });
    return { id: this.#compiled.size, pipeline, layout };
  }

  #sourceOf({ source, subgroupSource, needsSubgroups = false }: Kernel): string {
    if (needsSubgroups) return this.directive + (this.directive && ONE_SUBGROUP) + source;
    if (!this.reducesBySubgroups || subgroupSource === undefined) return source;
    return this.directive + subgroupSource;
  }
}
