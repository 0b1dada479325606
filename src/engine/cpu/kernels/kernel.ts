/**
 * What our TensorFlow.js kernels for the cpu backend share: how they reach values and how they are put in place.
 *
 * @module
 */
import {
  type DataType,
  getKernel,
  type KernelFunc,
  registerKernel,
  type TensorInfo,
  unregisterKernel,
} from "@tensorflow/tfjs-core";
import type { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";

export type CpuBackend = MathBackendCPU;

/** What a kernel is called with; `Inputs` by TensorFlow.js's name, as `Attributes` are. */
export interface KernelCall<Inputs, Attributes = unknown> {
  readonly inputs: Inputs;
  readonly backend: CpuBackend;
  readonly attrs: Attributes;
}

export type Kernel<Inputs, Attributes = unknown> = (
  call: KernelCall<Inputs, Attributes>,
) => TensorInfo;

/** A tensor's values, not copied. */
export function valuesOf(backend: CpuBackend, { dataId }: TensorInfo): Float32Array {
  return backend.data.get(dataId).values as Float32Array;
}

/** A float32 tensor of a kernel's own making. */
export function output(
  backend: CpuBackend,
  shape: readonly number[],
  values: Float32Array,
): TensorInfo {
  return backend.makeTensorInfo([...shape], "float32", values);
}

export function areFloat32(...tensors: readonly { readonly dtype: DataType }[]): boolean {
  return tensors.every(({ dtype }) => dtype === "float32");
}

/** TensorFlow.js's own kernels by name, kept when ours first takes their place. */
const originals = new Map<string, KernelFunc>();

/** TensorFlow.js's own kernel, for what ours does not take on (other element types, odd broadcasts). */
export function originalKernel(name: string): KernelFunc {
  const original = originals.get(name) ?? getKernel(name, "cpu")?.kernelFunc;
  if (original === undefined) throw new Error(`Cannot find TensorFlow.js's cpu kernel "${name}"`);
  return original;
}

/** Puts a kernel into the cpu backend, in place of what stands there under that name. */
export function installKernel<Inputs, Attributes>(
  name: string,
  kernel: Kernel<Inputs, Attributes>,
): void {
  const present = getKernel(name, "cpu");
  if (present) {
    if (!originals.has(name)) originals.set(name, present.kernelFunc);
    unregisterKernel(name, "cpu");
  }
  registerKernel({
    kernelName: name,
    backendName: "cpu",
    kernelFunc: kernel as unknown as KernelFunc,
  });
}
