/**
 * What a checkpoint's document says of its session, beside the tensors.
 *
 * @module
 */
import * as z from "zod";
import { SessionLayer, SessionRequest } from "./session.ts";

const count = z.int().nonnegative();

const words = z.strictObject({
  fisher: z.enum(["empirical", "sampled", "exact"]),
  backprops: z.int().min(1),
  hasBackpropAxis: z.boolean(),
  gradientScale: z.number(),
  maskedPlaces: z.number().nullable(),
  examples: count,
}).nullable();

const layer = z.strictObject({
  name: z.string().min(1),
  batches: count,
  batchesAtRefresh: count,
  description: SessionLayer,
  tolerances: z.record(z.string(), z.array(z.number().nonnegative())),
  source: z.enum(["samples", "factors"]).nullable(),
  diagnostics: z.record(z.string(), z.looseObject({})),
  raw: words,
  rawOfForms: words,
});

const settings = z.strictObject({
  decay: SessionRequest.shape.decay.unwrap(),
  refresh: z.strictObject({
    every: z.int().min(1).nullable(),
    drift: z.number().positive().nullable(),
    mode: z.enum(["sync", "async"]),
  }),
  kl_clip: z.number().positive().nullable(),
  damping_adapts: z.strictObject({ decay: z.number().gt(0).lt(1), every: z.int().min(1) })
    .nullable(),
});

/** Everything of a session that is no tensor; its format and its configuration's hash are looked at before. */
const SessionHead = z.strictObject({
  format: z.int(),
  configuration_hash: z.string(),
  identity: z.looseObject({}),
  state: z.strictObject({
    settings,
    damping: z.number().nonnegative(),
    version: count,
    revision: count,
    steps: count,
    age: count,
    isStale: z.boolean(),
    layers: z.array(layer).min(1),
  }),
}).superRefine(({ identity, state: { layers } }, issues) => {
  const configured = SessionRequest.safeParse({ ...identity, damping: 0 });
  for (const { path, message } of configured.error?.issues ?? []) {
    issues.addIssue({ code: "custom", path: ["identity", ...path], message });
  }
  const names = Object.keys((identity.layers ?? {}) as object).sort();
  const found = layers.map(({ name }) => name).sort();
  if (names.join("\n") === found.join("\n")) return;
  issues.addIssue({
    code: "custom",
    path: ["state", "layers"],
    message: "Expected the layers of the configuration, each once",
  });
});

/** The document of a checkpoint's file. */
export const CheckpointDocument = z.object({ session: SessionHead });
