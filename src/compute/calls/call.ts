/**
 * What all stateless calls share: layers side by side, one read-back, errors that name their layer.
 *
 * A call says what it does for a layer ({@linkcode LayerWork}) and gets the rest: simultaneous linear algebra in one
 * batch, also with those of other requests, one read for all answers, finite results or a refusal, `on_error: skip`.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { attributed, naming, sideBySide } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError, packError } from "@/errors.ts";
import {
  inSharedScope,
  type LinearAlgebra,
  type Outcome,
  type Report,
  settle,
  type SettleOptions,
} from "@/linalg/mod.ts";
import { type Document, firstNonFinite, tensorOf, type WireTensor } from "@/wire/mod.ts";
import { Unpacked } from "../ingest.ts";
import { worst } from "../worst.ts";

/** What a layer answers, before it is read. */
export interface LayerOutcome {
  /** By wire name; read and disposed by {@linkcode answerLayers}. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** Plain fields of the answer. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** By factor: one report a matrix. */
  readonly reports?: Readonly<Record<string, readonly Report[]>>;
  /** Numbers on the device that become plain fields: a scalar a number, `[1]` too, `[b]` a list. */
  readonly numbers?: Readonly<Record<string, Tensor>>;
  /** Largest eigenvalue of the undamped curvature: tells which damping would serve where the result is not finite. */
  readonly largest?: Tensor;
}

/** Parameters every stateless call has. */
export interface CallParameters {
  readonly on_error: "fail" | "skip";
  readonly verify: "estimate" | "full";
  /** Aborted: nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
  /** Whether other calls come and go meanwhile, as in linalg/settle.ts. */
  readonly isBeside?: boolean;
}

/** What a call is told beside its request. */
export type CallOptions = Pick<CallParameters, "signal" | "isBeside">;

/** One layer's answer. */
export type LayerAnswer = Record<string, unknown>;

export interface Answered {
  readonly layers: Record<string, LayerAnswer>;
  /** Request-wide fields that the work added. */
  readonly fields: Record<string, unknown>;
  readonly timing: { waitMs: number; computeMs: number; readMs: number };
  readonly warnings: string[];
}

/** The work of a call on the layers that are left: outcomes by layer, and what concerns all of them. */
export type Work<L> = (
  layers: ReadonlyMap<string, L>,
  linalg: LinearAlgebra,
) => Promise<{
  readonly outcomes: ReadonlyMap<string, LayerOutcome>;
  /** Numbers of the whole request that become plain fields. */
  readonly numbers?: Readonly<Record<string, Tensor>>;
  /** Whether these are lists even where they hold one number (a sweep of one). */
  readonly lists?: boolean;
  /** Fields computed on the host, in float64, from what is read with the answer. */
  readonly finish?: {
    readonly read: Readonly<Record<string, Tensor>>;
    fields(arrays: Readonly<Record<string, Float32Array>>): Record<string, unknown>;
  };
}>;

type Finish = NonNullable<Awaited<ReturnType<Work<unknown>>>["finish"]>;

/** Work on independent layers. */
export function eachLayer<L>(
  work: (layer: L, name: string, linalg: LinearAlgebra) => Promise<LayerOutcome>,
): Work<L> {
  return async (layers, linalg) => ({
    outcomes: await sideBySide(layers, (layer, name) => work(layer, name, linalg)),
  });
}

/**
 * Runs a call.
 *
 * @param prepare looks at a layer's request on the host: shapes, values. Its result is what `work` sees.
 * @throws CurvdError of the first layer that fails, unless `on_error` is `skip`.
 */
export async function answerLayers<R, L>(
  engine: Engine,
  requested: Readonly<Record<string, R>>,
  { on_error, verify, signal, isBeside }: CallParameters,
  prepare: (layer: R, name: string, unpacked: Unpacked) => L,
  work: Work<L>,
): Promise<Answered> {
  const unpacked = new Unpacked();
  const failed = new Map<string, CurvdError>();
  const layers = new Map<string, L>();
  const skipping = (error: unknown): void => {
    const cause = attributed(error);
    const { layer } = cause.facts;
    if (on_error === "fail" || layer === undefined || !(layer in requested)) throw cause;
    failed.set(layer, cause);
    layers.delete(layer);
  };
  try {
    for (const [name, layer] of Object.entries(requested)) {
      try {
        layers.set(name, await naming(name, () => prepare(layer, name, unpacked)));
      } catch (error) {
        skipping(error);
      }
    }
    for (;;) {
      try {
        const answered = await attempt(engine, layers, work, {
          verifyFully: verify === "full",
          signal,
          isBeside,
        });
        for (const [name, error] of failed) answered.layers[name] = { error: problemOf(error) };
        answered.warnings.push(...[...failed.keys()].map((name) => `layer "${name}" was skipped`));
        return answered;
      } catch (error) {
        skipping(error);
      }
    }
  } finally {
    unpacked.free(); // all work on it is at rest
  }
}

/** One try at all the layers that are left. Whatever it makes on the device is gone afterwards, also when it fails. */
async function attempt<L>(
  engine: Engine,
  layers: ReadonlyMap<string, L>,
  work: Work<L>,
  options: Omit<SettleOptions, "keepsNothing">,
): Promise<Answered> {
  interface Slot {
    readonly at: number;
    readonly shape: readonly number[];
  }
  interface Plan {
    readonly layers: Map<string, { outcome: LayerOutcome; slots: Record<string, Slot> }>;
    readonly numbers: Record<string, Slot>;
    readonly lists: boolean;
    readonly finish: { slots: Record<string, Slot>; of: Finish | undefined };
  }
  return await inSharedScope(async () => {
    const { arrays, keep: plan, timing } = await settle(
      engine,
      async (linalg): Promise<Outcome<() => Plan>> => {
        const { outcomes, numbers = {}, lists = false, finish } = await work(layers, linalg);
        const read: Tensor[] = [];
        const slot = (tensor: Tensor): Slot => ({ at: read.push(tensor) - 1, shape: tensor.shape });
        const slots = (tensors: Readonly<Record<string, Tensor | undefined>>) =>
          Object.fromEntries(
            Object.entries(tensors).flatMap(([field, t]) => t ? [[field, slot(t)] as const] : []),
          );
        const planned: Plan = {
          layers: new Map(
            [...outcomes].map(([name, outcome]) => {
              const { tensors, numbers = {}, largest } = outcome;
              return [name, { outcome, slots: slots({ ...tensors, ...numbers, largest }) }];
            }),
          ),
          numbers: slots(numbers),
          lists,
          finish: { slots: slots(finish?.read ?? {}), of: finish },
        };
        return { read, keep: () => planned };
      },
      { ...options, keepsNothing: true },
    );
    const { layers: planned, numbers, lists, finish } = plan();
    const layerAnswers = [...planned].map(([name, { outcome, slots }]) => {
      const answer: LayerAnswer = {};
      for (const field of Object.keys(outcome.tensors)) {
        const { at, shape } = slots[field];
        const largest = slots.largest && arrays[slots.largest.at];
        answer[field] = finite(
          tensorOf(shape, arrays[at]),
          { layer: name, tensor: field },
          largest,
        );
      }
      for (const field of Object.keys(outcome.numbers ?? {})) {
        answer[field] = plain(arrays[slots[field].at]);
      }
      Object.assign(answer, outcome.fields);
      if (outcome.reports) answer.diagnostics = diagnostics(outcome.reports);
      return [name, answer] as const;
    });
    return {
      layers: Object.fromEntries(layerAnswers),
      fields: {
        ...Object.fromEntries(
          Object.entries(numbers).map((
            [field, { at }],
          ) => [field, lists ? [...arrays[at]] : plain(arrays[at])]),
        ),
        ...finish.of?.fields(
          Object.fromEntries(Object.entries(finish.slots).map(([k, { at }]) => [k, arrays[at]])),
        ),
      },
      timing,
      warnings: [],
    };
  });
}

/** The document of a call. */
export function documentOf({ layers, fields, timing, warnings }: Answered): Document {
  return {
    layers,
    ...fields,
    timing: {
      wait_ms: timing.waitMs,
      compute_ms: timing.computeMs,
      read_ms: timing.readMs,
      total_ms: 0,
    },
    warnings,
  };
}

function plain(values: Float32Array): number | number[] {
  return values.length === 1 ? values[0] : [...values];
}

/** A stack of one matrix reports plainly, several in lists. */
function diagnostics(
  reports: Readonly<Record<string, readonly Report[]>>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(reports).map((
      [factor, all],
    ) => [factor, writable(all.length === 1 ? all[0] : worst(all))]),
  );
}

/** Without the facts that are infinite, such as a singular matrix's condition: JSON has no such number. */
function writable(report: Report): Partial<Report> {
  return Object.fromEntries(
    Object.entries(report).filter(([, fact]) => typeof fact !== "number" || Number.isFinite(fact)),
  );
}

/** A result that left float32, or was divided by zero, is refused with a damping that would serve. */
function finite(
  tensor: WireTensor,
  place: { layer: string; tensor: string },
  largest: Float32Array | undefined,
): WireTensor {
  const at = firstNonFinite(tensor.data);
  if (at < 0) return tensor;
  const serving = largest && Number((Math.max(...largest) * 1e-6).toPrecision(2));
  throw new CurvdError(
    "not-positive-definite",
    `Layer "${place.layer}": ${place.tensor} is not finite: the curvature is singular at this damping, or out of float32's range`,
    {
      ...place,
      value: String(tensor.data[at]),
      suggestion: serving ? `damping ${serving} would serve` : "a larger damping, or scaled inputs",
    },
  );
}

/** A failed layer's `error`: what the problem document would say, without its HTTP side. */
function problemOf(error: CurvdError): Record<string, unknown> {
  const { code, message, facts } = packError(error);
  return { code, message, facts };
}
