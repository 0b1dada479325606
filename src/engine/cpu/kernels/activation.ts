/** What a fused kernel does after its product. @module */
import {
  Add,
  Elu,
  LeakyRelu,
  Prelu,
  Relu,
  Relu6,
  Sigmoid,
  type TensorInfo,
} from "@tensorflow/tfjs-core";
import { type CpuBackend, originalKernel } from "./kernel.ts";

interface Fused {
  readonly activation?: string | null;
  readonly leakyreluAlpha?: number;
}

interface FusedInputs {
  readonly bias?: TensorInfo;
  readonly preluActivationWeights?: TensorInfo;
}

const ACTIVATIONS: Readonly<Record<string, string>> = {
  relu: Relu,
  relu6: Relu6,
  elu: Elu,
  sigmoid: Sigmoid,
};

/** The bias and the activation of a fused kernel. @param product is used up. */
export function activated(
  backend: CpuBackend,
  product: TensorInfo,
  { bias, preluActivationWeights: alpha }: FusedInputs,
  { activation, leakyreluAlpha }: Fused,
): TensorInfo {
  const steps = [product];
  const then = (name: string, inputs: object, attrs: object = {}) =>
    steps.push(originalKernel(name)({ inputs, backend, attrs } as never) as TensorInfo);
  if (bias) then(Add, { a: product, b: bias });
  const x = steps[steps.length - 1];
  if (activation === "prelu") then(Prelu, { x, alpha });
  else if (activation === "leakyrelu") then(LeakyRelu, { x }, { alpha: leakyreluAlpha });
  else if (activation && activation !== "linear") then(ACTIVATIONS[activation], { x });
  for (const step of steps.slice(0, -1)) backend.disposeIntermediateTensorInfo(step);
  return steps[steps.length - 1];
}
