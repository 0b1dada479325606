/**
 * The model of the benches of sessions, its batches, and calls that are timed as a client sees them.
 *
 * @module
 */
import {
  decodeDocument,
  type Document,
  encodeDocument,
  MEDIA_TYPES,
  PLAIN_OUTPUT,
  tensorOf,
} from "@/wire/mod.ts";

const SIDES = [784, 1024, 512, 256, 128, 64, 10];
const BATCH = 512;

const layers = SIDES.slice(1).map((dOut, l) => ({ name: `fc${l + 1}`, dIn: SIDES[l], dOut }));

/** Layers of 784-1024-512-256-128-64-10, as a session describes them. */
export const LAYERS = Object.fromEntries(
  layers.map(({ name, dIn, dOut }) => [name, { kind: "dense", d_in: dIn, d_out: dOut }]),
);

/** A little more than the largest tensor. */
const noise = Float32Array.from({ length: 1_200_000 }, () => Math.random() - 0.5);

/** Statistics of 512 examples, gradients, or both; batches differ, and are made of noise that is made once. */
export function batch(step: number, ...parts: ("statistics" | "gradients")[]): Document {
  const take = (shape: number[], salt: number) => {
    const size = shape[0] * shape[1];
    const at = (7919 * (step + salt)) % (noise.length - size);
    return tensorOf(shape, noise.slice(at, at + size));
  };
  return {
    layers: Object.fromEntries(layers.map(({ name, dIn, dOut }, l) => [name, {
      ...(parts.includes("statistics")
        ? { inputs: take([BATCH, dIn], 3 * l), output_gradients: take([BATCH, dOut], 3 * l + 1) }
        : {}),
      ...(parts.includes("gradients")
        ? {
          gradient: take([dOut, dIn], 3 * l + 2),
          bias_gradient: tensorOf([dOut], noise.slice(l, l + dOut)),
        }
        : {}),
    }])),
  };
}

/** Where the time of a call went, in milliseconds. */
export interface Sample {
  /** From encoding the request to holding the answer's arrays. */
  readonly total: number;
  /** In queues of the server. */
  readonly wait: number;
  readonly compute: number;
  /** What was left of writing when the answer was computed. */
  readonly store: number;
}

/** A call and its times. */
export async function timed(
  url: string,
  path: string,
  document: Document,
): Promise<{ answer: Document; sample: Sample }> {
  const begun = performance.now();
  const answer = await send(url, path, document);
  const total = performance.now() - begun;
  const { wait_ms, compute_ms, read_ms, store_ms = 0 } = answer.timing as Record<string, number>;
  return {
    answer,
    sample: { total, wait: wait_ms, compute: compute_ms + read_ms, store: store_ms },
  };
}

/** A POST below `/v1/sessions`, in safetensors both ways. @throws Error with the problem that was answered. */
export async function send(url: string, path: string, document: Document): Promise<Document> {
  const response = await fetch(`${url}/v1/sessions${path}`, {
    method: "POST",
    body: joined(encodeDocument(document, "safetensors", PLAIN_OUTPUT)),
    headers: { "content-type": MEDIA_TYPES.safetensors },
  });
  const bytes = await response.bytes();
  if (!response.ok) throw new Error(new TextDecoder().decode(bytes));
  return decodeDocument(bytes, "safetensors");
}

/** One array: a Blob of the parts takes longer to send than the copy. */
function joined(parts: Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
