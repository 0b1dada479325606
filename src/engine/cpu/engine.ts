/**
 * The cpu engine: TensorFlow.js's cpu backend with our kernels, and LAPACK where a library was found.
 *
 * @module
 */
import { dispose, memory, setBackend, type Tensor, tensor } from "@tensorflow/tfjs-core";
import { backend } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import type { Engine, EngineFacts, EngineMemory } from "../engine.ts";
import type { Float64 } from "../float64.ts";
import type { Blas } from "./blas/blas.ts";
import { blasFloat64 } from "./blas/float64.ts";
import { blasProducts } from "./blas/products.ts";
import { BuiltInFloat32 } from "./built_in/float32.ts";
import { builtInFloat64 } from "./built_in/float64.ts";
import { installKernels } from "./kernels/install.ts";
import type { CpuBackend } from "./kernels/kernel.ts";

/** Memory that tensors have for themselves. */
const adopted = new WeakSet<ArrayBuffer>();

/** Computes in this process, on its cores. */
export class CpuEngine implements Engine {
  readonly kind = "cpu";
  /** Never resolves: there is no device to lose. */
  readonly lost: Promise<string> = new Promise(() => {});

  constructor(
    readonly facts: EngineFacts,
    readonly float64: Float64,
    /** Float32 LAPACK, or null: then there is {@linkcode builtIn}. */
    readonly blas: Blas | null,
    readonly builtIn: BuiltInFloat32 | null,
  ) {}

  read(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    // Copied: the caller owns what it gets, and a view may share its memory with other tensors.
    return Promise.all(tensors.map(async (tensor) => (await tensor.data<"float32">()).slice()));
  }

  take(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    const { data } = backend() as CpuBackend;
    const arrays = tensors.map((tensor) => {
      const values = tensor.dataSync<"float32">() as Float32Array<ArrayBuffer>;
      const isSole = data.get(tensor.dataId).refCount === 1 && adopted.delete(values.buffer);
      return isSole ? values : values.slice();
    });
    dispose([...tensors]);
    return Promise.resolve(arrays);
  }

  /** A tensor of values that nobody else will read, by a view of it neither, so that {@linkcode take} may hand them on. */
  adopt(values: Float32Array<ArrayBuffer>, shape: number[]): Tensor {
    adopted.add(values.buffer);
    return tensor(values, shape);
  }

  memory(): EngineMemory {
    const { numTensors, numBytes } = memory();
    return { tensors: numTensors, bytes: numBytes };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface CpuEngineOptions {
  readonly blas: Blas | null;
  /** Why this engine runs, and on what, for {@linkcode EngineFacts}. */
  readonly reason: string;
}

/** Makes TensorFlow.js's cpu backend the current one, on these products. */
export async function openCpuEngine({ blas, reason }: CpuEngineOptions): Promise<CpuEngine> {
  const builtIn = blas ? null : await BuiltInFloat32.open();
  installKernels(blas ? blasProducts(blas) : builtIn!.products);
  await setBackend("cpu");
  keepQuiet(backend() as CpuBackend);
  const facts: EngineFacts = {
    engine: "cpu",
    reason,
    adapter: null,
    tuning: null,
    limits: {},
    features: [],
    blas: blas?.facts ?? null,
  };
  return new CpuEngine(facts, blas ? blasFloat64(blas) : builtInFloat64, blas, builtIn);
}

/** Spares the log the backend's advice to install another one, which it gives at its first tensor. */
function keepQuiet(backend: CpuBackend): void {
  (backend as unknown as { firstUse: boolean }).firstUse = false;
}
