/**
 * Remote or local: which of the two costs a step less.
 *
 *   remote  t_rtt + (gradients there + updates back)/bandwidth + server's update
 *   local   client's update + (t_rtt + preconditioner/bandwidth)/refreshEvery
 *
 * Statistics and refreshes cost the same either way. Sizes and the server's time are `plan`'s; the round trip is
 * that of the smallest call, the bandwidth that of the first step, the client's speed that of one product. Where
 * training is asynchronous the download is nobody's wait.
 *
 * @module
 */
import { matMul, ones, type Tensor2D, tidy } from "@tensorflow/tfjs";
import type { LayerBlock } from "../capture/mod.ts";
import type { CurvdClient } from "../client/mod.ts";
import type { Mode, Settings } from "./options.ts";

/** What a decision rests on: milliseconds, bytes, FLOPs. */
export interface Measurements {
  readonly roundTripMs: number;
  readonly bytesPerMs: number;
  readonly serverUpdateMs: number;
  readonly updateFlops: number;
  readonly clientFlopsPerMs: number;
  /** One way. */
  readonly gradientBytes: number;
  readonly preconditionerBytes: number;
}

export interface Choice {
  readonly mode: Mode;
  readonly why: string;
  readonly remoteMs: number;
  readonly localMs: number;
}

/** The cheaper mode. */
export function chooseMode(
  m: Measurements,
  { refreshEvery, asynchronous }: Pick<Settings, "refreshEvery" | "asynchronous">,
): Choice {
  const remoteMs = m.roundTripMs + 2 * m.gradientBytes / m.bytesPerMs + m.serverUpdateMs;
  const download = m.roundTripMs + m.preconditionerBytes / m.bytesPerMs;
  const localMs = m.updateFlops / m.clientFlopsPerMs + (asynchronous ? 0 : download / refreshEvery);
  const mode = localMs <= remoteMs ? "local" : "remote";
  const why = `a step's update is expected to take ${localMs.toFixed(1)} ms locally, ` +
    `${remoteMs.toFixed(1)} ms by the server`;
  return { mode, why, remoteMs, localMs };
}

/** The shortest of a few answers to the smallest question, in milliseconds. */
export async function measureRoundTrip(client: CurvdClient, times = 3): Promise<number> {
  let shortest = Infinity;
  for (let time = 0; time < times; time++) {
    const begun = performance.now();
    await client.isReady();
    shortest = Math.min(shortest, performance.now() - begun);
  }
  return shortest;
}

/** FLOPs of a product of two square matrices a millisecond, on TensorFlow.js's backend. */
export async function measureClient(side = 256): Promise<number> {
  const product = async () => {
    const result = tidy(() => {
      const x = ones([side, side]) as Tensor2D;
      return matMul(x, x);
    });
    await result.data();
    result.dispose();
  };
  await product(); // kernels are compiled at their first use
  const begun = performance.now();
  await product();
  return 2 * side ** 3 / Math.max(performance.now() - begun, 1e-3);
}

/** What `plan` says of a model under a method; null where it cannot plan, as for images of any size. */
export async function planOf(
  client: CurvdClient,
  blocks: readonly LayerBlock[],
  method: Settings["method"],
  examples: number,
): Promise<{ updateMs: number; updateFlops: number } | null> {
  const layers = Object.fromEntries(
    blocks.map(({ name, description, sizes }) => [name, { ...description, ...sizes }]),
  ) as Parameters<typeof client.call<"plan">>[1]["layers"];
  const isComplete = blocks.every(({ description: { kind }, sizes }) =>
    kind === "conv2d"
      ? sizes.c_in !== undefined && sizes.c_out !== undefined && sizes.image !== undefined
      : kind === "dense"
      ? sizes.d_in !== undefined && sizes.d_out !== undefined
      : true
  );
  if (!isComplete) return null;
  const { estimated_ms, flops } = await client.call("plan", { layers, method, n: examples });
  return { updateMs: estimated_ms?.update ?? 0, updateFlops: flops?.update ?? 0 };
}

/** Bytes of all blocks' gradients, and of the matrices that precondition them. */
export function bytesOf(
  blocks: readonly LayerBlock[],
): { gradient: number; preconditioner: number } {
  let gradient = 0, preconditioner = 0;
  for (const { kernel, bias, description } of blocks) {
    const values = (kernel?.size ?? 0) + (bias?.size ?? 0);
    gradient += 4 * values;
    if (description.kind === "scale_and_shift" || !kernel) {
      preconditioner += 4 * values;
      continue;
    }
    const groups = description.kind === "conv2d" ? description.groups : 1;
    const dOut = kernel.shape.at(-1)! * (groups > 1 ? kernel.shape.at(-2)! : 1) / groups;
    const dIn = kernel.size / groups / dOut + Number(bias !== null);
    const inputs = description.kind === "embedding" ? dIn : dIn ** 2;
    preconditioner += 4 * groups * (inputs + dOut ** 2);
  }
  return { gradient, preconditioner };
}
