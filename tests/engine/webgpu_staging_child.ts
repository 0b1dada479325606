/** Run by webgpu_staging_test.ts in a process of its own: a wrong guess about Deno's inside panics. */
import { StagingRing } from "../../src/engine/webgpu/staging.ts";

const adapter = await navigator.gpu.requestAdapter();
const device = await adapter!.requestDevice();
const source = device.createBuffer({
  size: 4096,
  usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
const isProven = Deno.args[0] === "primed";
const ring = new StagingRing(device, isProven);

const copy = (target: GPUBuffer) => {
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, target, 0, 4096);
  device.queue.submit([encoder.finish()]);
};
let right = 0;
const waits: number[] = [];
for (let i = 0; i < 200; i++) {
  device.queue.writeBuffer(source, 0, new Float32Array(1024).fill(i));
  const started = performance.now();
  const values = await ring.read(4096, copy, (mapped) => new Float32Array(mapped).slice());
  waits.push(performance.now() - started);
  right += Number(values.every((value) => value === i));
  if (i % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 15)); // lets buffers come home
}
console.log(JSON.stringify({ right, medianMs: waits.sort((a, b) => a - b)[100] }));
Deno.exit(0);
