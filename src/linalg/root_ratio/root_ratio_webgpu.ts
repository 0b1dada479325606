/**
 * The TensorFlow.js kernel `CurvdRootRatio` on WebGPU: one dispatch for what is eight operations of
 * TensorFlow.js, each of which costs more than these few numbers do.
 *
 * @module
 */
import { registerKernel, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { defineKernel, engineOfBackend } from "@/engine/mod.ts";
import { ROOT_RATIO_KERNEL } from "../matrix.ts";
import source from "./root_ratio.wgsl" with { type: "text" };

const rootRatio = defineKernel({
  label: "linalg.root-ratio",
  source,
  entryPoint: "root_ratio",
  bindings: ["read", "read", "read-write"],
});

registerKernel({
  kernelName: ROOT_RATIO_KERNEL,
  backendName: "webgpu",
  kernelFunc: ({ inputs, backend }) => {
    const [a, b] = [inputs.a as TensorInfo, inputs.b as TensorInfo];
    const engine = engineOfBackend(backend);
    const root = engine.emptyInfo(a.shape);
    const size = util.sizeFromShape(a.shape);
    const recording = engine.record("linalg.root-ratio");
    recording.dispatch(rootRatio, {
      buffers: [a, b, root].map((tensor) => engine.bufferOf(tensor)),
      uniforms: { u32: [size] },
      workgroups: [Math.ceil(size / 64)],
    });
    recording.submit();
    return root;
  },
});
