/**
 * One transition of a session on the device: judged, read once, and either kept or gone.
 *
 * @module
 */
import { keep, stack, sum, type Tensor } from "@tensorflow/tfjs-core";
import { attributed } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import { inSharedScope, type LinearAlgebra, settle } from "@/linalg/mod.ts";
import { type SessionState, tensorsOf } from "@/sessions/mod.ts";
import { firstNonFinite } from "@/wire/mod.ts";

/** What a piece of work makes of a state. */
export interface Made<A> {
  readonly state: SessionState;
  /** Read back with the answer, by names of the work's own; copies, not the state's tensors. */
  readonly read: Readonly<Record<string, Tensor>>;
  /** The answer, and the state where what was read changes it still; inside the scope. */
  finish(arrays: Readonly<Record<string, Float32Array<ArrayBuffer>>>): {
    answer: A;
    state?: SessionState;
  };
}

export interface Transacted<A> {
  readonly state: SessionState;
  readonly answer: A;
  readonly timing: { readonly compute_ms: number; readonly read_ms: number };
}

/**
 * Runs work to a judged result. Its state's tensors stay, everything else it made is gone.
 *
 * @throws CurvdError what the work threw, with the layer it was about; then nothing is left.
 */
export async function transact<A>(
  engine: Engine,
  work: (linalg: LinearAlgebra) => Promise<Made<A>>,
): Promise<Transacted<A>> {
  try {
    return await inSharedScope(async () => {
      const { arrays, keep: made, timing } = await settle(engine, async (linalg) => {
        const made = await work(linalg);
        return { read: Object.values(made.read), keep: () => made };
      });
      const { read, state, finish } = made();
      const named = Object.fromEntries(Object.keys(read).map((name, i) => [name, arrays[i]]));
      const finished = finish(named);
      const next = finished.state ?? state;
      for (const tensor of tensorsOf(next)) keep(tensor);
      return {
        state: next,
        answer: finished.answer,
        timing: { compute_ms: timing.computeMs, read_ms: timing.readMs },
      };
    });
  } catch (error) {
    throw attributed(error);
  }
}

/** Disposes what a state has and another has not. */
export function disposeBut(state: SessionState, other: SessionState | null): void {
  const kept = other ? tensorsOf(other) : new Set<Tensor>();
  for (const tensor of tensorsOf(state)) if (!kept.has(tensor)) tensor.dispose();
}

/** A running average that a change moved, and the sum of its values: what tells whether all are finite. */
interface Moved {
  readonly layer: string;
  readonly tensor: string;
  readonly sum: Tensor;
}

/**
 * Work whose averages, and S of EKFAC, are looked at with its answer: from a batch that takes one beyond float32 a session would
 * not recover.
 *
 * @throws CurvdError `overflow` naming layer and average, when it finishes.
 */
export function withFiniteAverages<A>(made: Made<A>, before: SessionState): Made<A> {
  const moved = [...made.state.layers].flatMap(([layer, { averages, forms }]): Moved[] => {
    const old = before.layers.get(layer);
    const isNew = ([name, tensor]: [string, Tensor]) =>
      tensor !== old?.averages[name] && tensor !== old?.forms[name];
    const named = { ...averages, ...("S" in forms ? { S: forms.S } : {}) };
    return Object.entries(named).filter(isNew).map(([tensor, values]) => ({
      layer,
      tensor,
      sum: sum(values),
    }));
  });
  if (moved.length === 0) return made;
  return {
    state: made.state,
    read: { ...made.read, "sums of averages": stack(moved.map(({ sum }) => sum)) },
    finish(arrays) {
      const at = firstNonFinite(arrays["sums of averages"]);
      if (at < 0) return made.finish(arrays);
      const { layer, tensor } = moved[at];
      throw new CurvdError(
        "overflow",
        `Layer "${layer}": with this batch the running average of ${tensor} leaves float32's range`,
        { layer, tensor, suggestion: "scaled inputs or gradients" },
      );
    },
  };
}

/** Refuses a result that left float32. */
export function expectFiniteResult(
  values: Float32Array<ArrayBuffer>,
  place: { layer: string; tensor: string },
): Float32Array<ArrayBuffer> {
  const at = firstNonFinite(values);
  if (at < 0) return values;
  throw new CurvdError(
    "not-positive-definite",
    `Layer "${place.layer}": ${place.tensor} is not finite: the curvature is singular at this damping, or out of float32's range`,
    { ...place, value: String(values[at]), suggestion: "a larger damping, or scaled inputs" },
  );
}
