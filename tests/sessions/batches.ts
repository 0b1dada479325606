/** A model of two layers and its batches, the same in every run. */
import { gaussian } from "../support/matrices.ts";
import { values } from "./support.ts";

export const DECAY = 0.9;
export const DAMPING = 0.05;
export const SIZES = { fc1: [3, 4], fc2: [4, 2] } as const;
export const LAYERS = {
  fc1: { kind: "dense", bias: true, layout: "oi" },
  fc2: { kind: "dense", bias: false, layout: "io" },
} as const;

/** A batch of both layers with gradients, the same whenever it is asked for. */
export function batch(step: number, n = 12): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(SIZES).map(([name, [dIn, dOut]], l) => {
      const seed = 1000 * l + 10 * step;
      const kernel = LAYERS[name as "fc1"].layout === "oi" ? [dOut, dIn] : [dIn, dOut];
      return [name, {
        inputs: values([n, dIn], gaussian([n, dIn], seed)),
        output_gradients: values([n, dOut], gaussian([n, dOut], seed + 1)),
        gradient: values(kernel, gaussian(kernel, seed + 2)),
        ...(LAYERS[name as "fc1"].bias
          ? { bias_gradient: values([dOut], gaussian([dOut], seed + 3)) }
          : {}),
      }];
    }),
  );
}

/** What a method of sessions takes of a batch. */
export function layersFor(method: string, step: number): ReturnType<typeof batch> {
  if (method !== "shampoo" && method !== "soap") return batch(step);
  return Object.fromEntries(
    Object.entries(batch(step)).map(([name, { gradient, bias_gradient }]) => [
      name,
      bias_gradient === undefined ? { gradient } : { gradient, bias_gradient },
    ]),
  );
}
