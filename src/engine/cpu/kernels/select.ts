import { Select, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

interface Choice {
  readonly condition: TensorInfo;
  readonly t: TensorInfo;
  readonly e: TensorInfo;
}

/** `where(condition, t, e)` of one shape. */
export const select: Kernel<Choice> = function select(call) {
  const { inputs: { condition, t, e }, backend } = call;
  const isPlain = areFloat32(t, e) && util.arraysEqual(condition.shape, t.shape) &&
    util.arraysEqual(t.shape, e.shape);
  if (!isPlain) return originalKernel(Select)(call as never) as TensorInfo;
  const choice = backend.data.get(condition.dataId).values as Uint8Array;
  const yes = valuesOf(backend, t), no = valuesOf(backend, e);
  const chosen = new Float32Array(choice.length);
  for (let at = 0; at < chosen.length; at++) chosen[at] = choice[at] === 1 ? yes[at] : no[at];
  return output(backend, t.shape, chosen);
};
