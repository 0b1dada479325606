/**
 * Whether a device's subgroups are what the kernels need, and how its compiler wants to hear of
 * them.
 *
 * WGSL asks for `enable subgroups;` before the first use (Tint insists); naga 29 refuses the line
 * and accepts the use. So both are tried, and what compiles is run: WGSL does not say which lanes
 * form a subgroup, and linalg/reduce/subgroups.wgsl takes them to follow each other in groups of
 * one size.
 *
 * @module
 */
import type { OpenedDevice } from "./device.ts";

const LANES = 64; // of a workgroup that reduces

/** Each lane tells the size of its subgroup, or 0 where that is not where it is taken to be. */
const source = `
@group(0) @binding(0) var<storage, read_write> sizes: array<u32>;

@compute @workgroup_size(${LANES})
fn subgroups(@builtin(local_invocation_index) lane: u32) {
  let size = subgroupAdd(1u);
  let place = subgroupExclusiveAdd(1u);
  let first = subgroupMin(lane);
  sizes[lane] = select(0u, size, lane == first + place && first % size == 0 && ${LANES}u % size == 0);
}`;

/** How a device's subgroups are used. */
export interface Subgroups {
  /** The line to put before a source that uses them; it may be empty. */
  readonly directive: string;
  /** Lanes in each. */
  readonly size: number;
}

/** @returns null where they are missing or are not as the kernels need them. */
export async function usableSubgroups(
  { device, features }: Pick<OpenedDevice, "device" | "features">,
): Promise<Subgroups | null> {
  if (!features.includes("subgroups")) return null;
  for (const directive of ["enable subgroups;\n", ""]) {
    const pipeline = await compiled(device, directive + source);
    if (pipeline === null) continue;
    const size = await sizeAgreedOn(device, pipeline);
    return size > 0 ? { directive, size } : null;
  }
  return null;
}

async function compiled(device: GPUDevice, code: string): Promise<GPUComputePipeline | null> {
  const label = "engine.subgroups";
  device.pushErrorScope("validation");
  const pipeline = device.createComputePipeline({
    label,
    layout: "auto",
    compute: { module: device.createShaderModule({ label, code }), entryPoint: "subgroups" },
  });
  return await device.popErrorScope() === null ? pipeline : null;
}

/** @returns 0 where the lanes do not agree. */
async function sizeAgreedOn(device: GPUDevice, pipeline: GPUComputePipeline): Promise<number> {
  const size = 4 * LANES;
  const sizes = device.createBuffer({
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const onHost = device.createBuffer({
    size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: sizes } }],
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(sizes, 0, onHost, 0, size);
  device.queue.submit([encoder.finish()]);
  await onHost.mapAsync(GPUMapMode.READ);
  const [first, ...others] = new Uint32Array(onHost.getMappedRange().slice(0));
  onHost.destroy();
  sizes.destroy();
  return others.every((size) => size === first) ? first : 0;
}
