import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import {
  add,
  dispose,
  matMul,
  memory,
  mul,
  tensor,
  tensor2d,
  tidy,
  zeros,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import { defineKernel, openWebGpuEngine } from "@/engine/mod.ts";
import { inBuffers } from "../../src/engine/webgpu/engine.ts";
import { gpuTest, isWithoutGpu } from "../support/gpu.ts";
import { reference } from "../support/reference.ts";

/** y = factor·x + i, elementwise. */
const affine = defineKernel({
  label: "test.affine",
  source: `
    override BIAS: f32;
    struct Params { n: u32, factor: f32 }
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @group(0) @binding(2) var<uniform> params: Params;
    @compute @workgroup_size(64)
    fn affine(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < params.n) { y[id.x] = params.factor * x[id.x] + BIAS; }
    }`,
  entryPoint: "affine",
  constants: { BIAS: 1 },
  bindings: ["read", "read-write"],
});

gpuTest("read() answers device and host tensors in the order asked", async (engine) => {
  const host = tensor([1, 2, 3]);
  const onDevice = add(host, 1);
  const empty = zeros([0, 4]);
  const arrays = await engine.read([onDevice, empty, host, onDevice]);
  deepEqual(arrays.map((array) => [...array]), [[2, 3, 4], [], [1, 2, 3], [2, 3, 4]]);
  equal(new Set(arrays.map(({ buffer }) => buffer)).size, 4, "each array owns its buffer");
  dispose([host, onDevice, empty]);
});

gpuTest("a recording runs between the TensorFlow.js operations around it", async (engine) => {
  const x = tidy(() => mul(tensor([1, 2, 3]), 2));
  const y = engine.emptyTensor([3]);
  const recording = engine.record("test");
  for (const [from, to] of [[x, y], [y, x]]) {
    recording.dispatch(affine, {
      buffers: [engine.bufferOf(from), engine.bufferOf(to)],
      uniforms: { u32: [3], f32: [10] },
      workgroups: [1],
    });
  }
  recording.submit();
  const z = add(x, 0.5);
  const [values] = await engine.read([z]);
  deepEqual([...values], [211.5, 411.5, 611.5]);
  dispose([x, y, z]);
});

gpuTest("a recording may be submitted in parts, also in one of copies alone", async (engine) => {
  const x = tidy(() => mul(tensor([1, 2, 3]), 1)), y = engine.emptyTensor([3]);
  const [source, target] = [x, y].map((each) => engine.bufferOf(each));
  const recording = engine.record("test");
  for (let part = 0; part < 3; part++) {
    const uniforms = { u32: [3], f32: [part] }; // of each part its own
    recording.dispatch(affine, { buffers: [source, target], uniforms, workgroups: [1] });
    recording.submit();
    recording.copy({ source: target, sourceAt: 0, target: source, targetAt: 0, bytes: 12 });
    recording.submit();
  }
  const [values] = await engine.read([x]);
  deepEqual([...values], [5, 5, 5]); // 2·(1·(0·x + 1) + 1) + 1
  dispose([x, y]);
});

gpuTest("a recording of nothing and an empty write are no work", async (engine) => {
  const y = engine.emptyTensor([0, 3]);
  const recording = engine.record("test");
  recording.dispatch(affine, {
    buffers: [engine.indirectCounts, engine.indirectCounts],
    workgroups: [0],
  });
  recording.submit();
  engine.write(y, new Float32Array());
  deepEqual((await engine.read([y]))[0].length, 0);
  y.dispose();
});

gpuTest("a recording holds ten thousand dispatches", async (engine) => {
  const [x, y] = [tidy(() => mul(tensor([1]), 0)), engine.emptyTensor([1])];
  const recording = engine.record("test");
  for (let i = 0; i < 5000; i++) {
    for (const [from, to] of [[x, y], [y, x]]) {
      recording.dispatch(affine, {
        buffers: [engine.bufferOf(from), engine.bufferOf(to)],
        uniforms: { u32: [1], f32: [1] },
        workgroups: [1],
      });
    }
  }
  recording.submit();
  deepEqual([...(await engine.read([x]))[0]], [10000]);
  dispose([x, y]);
});

gpuTest("read() rejects when work since the last read broke a rule of WebGPU", async (engine) => {
  const x = tidy(() => mul(tensor([1, 2, 3]), 1));
  const y = engine.emptyTensor([3]);
  const bad = engine.record("test");
  const buffer = engine.bufferOf(x);
  bad.dispatch(affine, { // the same buffer read and written: an error that only the device reports
    buffers: [buffer, buffer],
    uniforms: { u32: [3], f32: [2] },
    workgroups: [1],
  });
  bad.submit();
  await rejects(engine.read([y]), (error: CurvdError) => {
    equal(error.code, "internal");
    ok(/usage|conflict/i.test(error.message), error.message);
    return true;
  });
  await engine.read([x]); // and only that read
  dispose([x, y]);
});

gpuTest("a tensor larger than a binding is refused with the figures", (engine) => {
  const limit = engine.facts.limits.maxStorageBufferBindingSize;
  const before = memory().numTensors;
  throws(() => engine.emptyTensor([limit / 4 + 1]), (error: CurvdError) => {
    equal(error.code, "too-large-to-fit");
    deepEqual([error.facts.value, error.facts.limit], [limit + 4, limit]);
    return true;
  });
  equal(memory().numTensors, before);
});

gpuTest("idle buffers do not grow with the number of sizes seen", async (engine) => {
  for (let i = 0; i < 40; i++) {
    const x = tidy(() => mul(zeros([2 ** 20 * 4 + i]), 2));
    await engine.read([]);
    x.dispose();
    await engine.read([]);
  }
  const { backend } = engine as unknown as {
    backend: { memory(): { numBytesInGPU: number; numBytesAllocatedInGPU: number } };
  };
  const { numBytesInGPU, numBytesAllocatedInGPU } = backend.memory();
  ok(numBytesAllocatedInGPU - numBytesInGPU <= 300 * 2 ** 20, `${numBytesAllocatedInGPU}`);
});

gpuTest("the facts name the adapter, the limits and the features", (engine) => {
  equal(engine.facts.engine, "webgpu");
  equal(typeof engine.facts.adapter?.software, "boolean");
  ok(engine.facts.limits.maxBufferSize >= 2 ** 28);
  ok(engine.facts.features.includes("timestamp-query"));
});

gpuTest("TensorFlow.js computes on the lent device", async (engine) => {
  const a = tensor2d([[1, 2], [3, 4]]);
  const c = matMul(a, a);
  deepEqual([...(await engine.read([c]))[0]], [7, 10, 15, 22]);
  dispose([a, c]);
});

// Last: it takes the backend away from the tests above.
gpuTest("reads of a lost device reject as device-lost", async () => {
  const engine = await openWebGpuEngine({ float64: reference, reason: "a test" });
  const x = tidy(() => mul(tensor([1, 2, 3]), 2));
  engine.device.destroy();
  ok((await engine.lost).startsWith("destroyed"));
  await rejects(engine.read([x]), (error: CurvdError) => error.code === "device-lost");
  x.dispose();
});

Deno.test("inBuffers() puts as many tensors together as a buffer holds, in their order", () => {
  const sizes = [3, 1, 4, 4, 1, 2, 1].map((size) => ({ size }));
  const pieces = inBuffers(sizes, 4 * 4).map((piece) => piece.map(({ size }) => size));
  deepEqual(pieces, [[3, 1], [4], [4], [1, 2, 1]]);
});

Deno.test({
  name: "read() of a device that was just destroyed says that it is lost, and rejects nothing else",
  ignore: isWithoutGpu,
  fn: async () => {
    const unhandled: unknown[] = [];
    const note = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      unhandled.push(event.reason);
    };
    addEventListener("unhandledrejection", note);
    const engine = await openWebGpuEngine({ float64: reference, reason: "test" });
    const x = add(tensor([1, 2, 3]), 1);
    await engine.read([x]);
    await new Promise((resolve) => setTimeout(resolve, 50)); // the staging buffer is primed
    engine.device.destroy();
    await rejects(engine.read([x]), (error: CurvdError) => error.code === "device-lost");
    await new Promise((resolve) => setTimeout(resolve, 50));
    removeEventListener("unhandledrejection", note);
    deepEqual(unhandled, []);
    x.dispose();
    await engine.close();
  },
});
