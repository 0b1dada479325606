/**
 * What a session tells of itself: configuration and counters, running averages, preconditioner.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import { driftsOf, type Head, isUnknown, optionsOf } from "@/sessions/mod.ts";
import { type Document, tensorOf, type WireTensor } from "@/wire/mod.ts";
import { diagnosticsDocument } from "./session_diagnostics.ts";
import type { Live } from "./session_live.ts";
import { transact } from "./session_transaction.ts";

/** A line of the list. */
export function summary(id: string, { identity, state }: Head): Document {
  const { version, revision, steps, age, damping } = state;
  return { id, method: identity.method, version, revision, steps, age, damping };
}

/** Configuration, counters, and what is known of each layer, how far its averages have moved since included. */
export async function inspected(engine: Engine, live: Live): Promise<Document> {
  const { answer } = await transact(engine, () => {
    const drifts = [...live.state.layers].flatMap(([name, layer]) =>
      Object.entries(driftsOf(layer)).map(([factor, drift]) => ({ name, factor, drift }))
    );
    return Promise.resolve({
      state: live.state,
      read: Object.fromEntries(drifts.map(({ drift }, i) => [i, drift])),
      finish: (arrays) => {
        const answer = inspection(live);
        drifts.forEach(({ name, factor }, i) => {
          const layer = answer.layers![name] as Record<string, Record<string, number>>;
          (layer.drift ??= {})[factor] = Math.max(...arrays[i]);
        });
        return { answer };
      },
    });
  });
  return answer;
}

/** Configuration, counters, and what is known of each layer without asking the device. */
export function inspection({ id, identity, state, durableRevision, refresher }: Live): Document {
  const { settings, damping, version, revision, steps, age, layers } = state;
  const { layers: _, ...configuration } = identity;
  return {
    id,
    ...configuration,
    ...settings,
    damping,
    version,
    revision,
    steps,
    age,
    durable_revision: durableRevision,
    refreshing: refresher !== null,
    stale: state.isStale,
    layers: Object.fromEntries(
      [...layers].map(([name, layer]) => [name, {
        ...layer.description,
        batches: layer.batches,
        age: layer.batches - layer.batchesAtRefresh,
        has_preconditioner: !isUnknown(layer),
        ...(isUnknown(layer) ? {} : { diagnostics: diagnosticsDocument(layer.diagnostics) }),
      }]),
    ),
  };
}

/** Wire names of averages that have others inside. */
const WIRE_NAMES: Readonly<Record<string, string>> = {
  frequencies: "A_diagonal",
  deltaPhi: "delta_phi",
  deltaPsi: "delta_psi",
  biasMoments: "bias_moments",
  "next/A": "A_next",
  "next/G": "G_next",
};

/** The running averages of every layer, with the number of batches in them. */
export async function factorsAnswer(
  engine: Engine,
  { id, state }: Live,
): Promise<Document> {
  const layers = await read(
    engine,
    [...state.layers].map(([name, layer]) => [name, layer.averages]),
  );
  return {
    id,
    version: state.version,
    revision: state.revision,
    layers: Object.fromEntries(
      Object.entries(layers).map(([name, tensors]) => [name, {
        ...withTerms(tensors),
        batches: state.layers.get(name)!.batches,
      }]),
    ),
  };
}

/** What a client needs to precondition by itself, unless it has this version. */
export async function preconditionerAnswer(
  engine: Engine,
  { id, nonce, identity, state }: Live,
  { known }: Document,
): Promise<Document> {
  const { method } = identity;
  if (method === "kfac_tridiagonal" || method === "kfac_two_level" || method === "soap") {
    throw new CurvdError("conflict", `remote-only: ${method} cannot be applied layer by layer`, {
      value: method,
      reason: "remote-only",
      suggestion: "updates or steps",
    });
  }
  if (state.version === 0) {
    throw new CurvdError("conflict", "The session has no preconditioner yet", {
      suggestion: "send statistics, or a step",
    });
  }
  const { version, revision, age, damping, isStale } = state;
  // within a version λ may move, where forms take any, and EKFAC's S with every batch
  const moves = [...state.layers.values()].some(({ forms }) => "S" in forms);
  const tag = [nonce, version, damping, ...(moves ? [revision] : [])].join("-");
  if (known === tag) return { tag, unchanged: true };
  const options = optionsOf(identity, damping);
  const layers = await read(engine, [...state.layers].map(([name, layer]) => [name, layer.forms]));
  const isTwoTerms = Object.values(layers).some((tensors) => "K_A" in tensors);
  return {
    id,
    tag,
    version,
    revision,
    age,
    method,
    damping,
    stale: isStale,
    damping_rule: options.dampingRule,
    ...(isTwoTerms ? { floor: options.floor, indefinite: options.indefinite } : {}),
    layers,
  };
}

/** Tensors by layer and wire name, read in one go. */
async function read(
  engine: Engine,
  layers: readonly (readonly [string, NamedTensors])[],
): Promise<Record<string, Record<string, WireTensor>>> {
  const named = layers.flatMap(([layer, tensors]) =>
    Object.entries(tensors).map(([field, tensor]) => ({ layer, field, tensor }))
  );
  const arrays = await engine.read(named.map(({ tensor }) => tensor));
  const answer: Record<string, Record<string, WireTensor>> = Object.fromEntries(
    layers.map(([name]) => [name, {}]),
  );
  named.forEach(({ layer, field, tensor }, i) => {
    answer[layer][WIRE_NAMES[field] ?? field] = tensorOf(shapeOf(tensor), arrays[i]);
  });
  return answer;
}

/** The leading axis of blocks is there where there are several. */
function shapeOf({ shape }: Tensor): number[] {
  return shape.length > 1 && shape[0] === 1 ? shape.slice(1) : shape;
}

/** `terms/0/A`, `terms/1/A` as `A_terms [r, d, d]`, of a grouped convolution `[groups, r, d, d]`. */
function withTerms(tensors: Record<string, WireTensor>): Record<string, WireTensor> {
  const rank = Object.keys(tensors).filter((name) => /^terms\/\d+\/A$/.test(name)).length;
  if (rank === 0) return tensors;
  const joined = (side: string): WireTensor => {
    const each = Array.from({ length: rank }, (_, r) => tensors[`terms/${r}/${side}`]);
    const [{ shape }] = each;
    const groups = shape.length === 3 ? shape[0] : 1;
    const size = each[0].data.length / groups;
    const data = new Float32Array(rank * each[0].data.length);
    each.forEach((term, r) => {
      for (let b = 0; b < groups; b++) {
        data.set(term.data.subarray(b * size, (b + 1) * size), (b * rank + r) * size);
      }
    });
    const matrix = shape.slice(-2);
    return tensorOf(shape.length === 3 ? [groups, rank, ...matrix] : [rank, ...matrix], data);
  };
  return { A_terms: joined("A"), G_terms: joined("G") };
}
