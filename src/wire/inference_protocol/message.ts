/**
 * The messages of the Open Inference Protocol, version 2, as far as curvd speaks it.
 *
 * A tensor is named as in a safetensors document, `<layer>.<field>`; everything else of the document
 * is in the request's `parameters`, field by field, or as one JSON string under `document`.
 *
 * Source: kserve/kserve, docs/predict-api/v2/required_api.md; triton-inference-server/server,
 * docs/protocol/extension_binary_data.md.
 *
 * @module
 */
import * as z from "zod";
import { Problem } from "../problem.ts";
import type { Dtype } from "../tensor.ts";

/** The protocol's datatypes that curvd takes, by the wire's own. */
export const DATATYPES = {
  F64: "FP64",
  F32: "FP32",
  F16: "FP16",
  BF16: "BF16",
  I64: "INT64",
  I32: "INT32",
  U32: "UINT32",
} as const satisfies Record<Dtype, string>;

/** The wire's dtype of a protocol's datatype. */
export const DTYPES: Readonly<Record<string, Dtype>> = Object.fromEntries(
  Object.entries(DATATYPES).map(([dtype, datatype]) => [datatype, dtype as Dtype]),
);

/** Most bytes of a request's JSON: a safetensors header's, for it becomes one. */
export const MAX_HEAD_BYTES = 2 ** 20;
/** Most numbers of an answer as JSON: about as many as a request of {@linkcode MAX_HEAD_BYTES} holds. */
export const MAX_JSON_NUMBERS = 2 ** 17;

const name = z.string().min(1).max(512);
const shape = z.array(z.int().min(0)).max(8).describe("sides, row-major");
const byteCount = z.int().min(0);
const datatype = z.enum(Object.values(DATATYPES));
/** Elements are read by {@link readNested}: zod would make an issue of each. */
const numbers = z.custom<unknown[]>(Array.isArray, { error: "Expected an array of numbers" })
  .meta({ type: "array", items: {}, description: "flat or nested, row-major" });

const input = z.strictObject({
  name,
  shape,
  datatype,
  parameters: z.strictObject({
    binary_data_size: byteCount.optional().describe("its bytes follow the JSON"),
  }).optional(),
  data: numbers.optional(),
}).superRefine(({ data, parameters }, issues) => {
  if ((data === undefined) === (parameters?.binary_data_size === undefined)) {
    const message = "Expected either data or parameters.binary_data_size";
    issues.addIssue({ code: "custom", message });
  }
});

export const InferenceRequest = z.strictObject({
  id: z.string().max(255).optional().describe("echoed"),
  parameters: z.looseObject({
    document: z.string().optional().describe("the document without its tensors, as JSON"),
    binary_data_output: z.boolean().optional().describe("binary_data of outputs that say nothing"),
  }).optional().describe("fields of the document, such as damping"),
  inputs: z.array(input),
  outputs: z.array(z.strictObject({
    name,
    parameters: z.strictObject({ binary_data: z.boolean().optional() }).optional(),
  })).optional().describe("the tensors to be answered; all where absent"),
}).meta({ id: "InferenceRequest" });
export type InferenceRequest = z.infer<typeof InferenceRequest>;

export const InferenceAnswer = z.strictObject({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  parameters: z.strictObject({
    document: z.string().describe("the answer without its tensors, as JSON"),
  }),
  outputs: z.array(z.strictObject({
    name,
    shape,
    datatype,
    parameters: z.strictObject({ binary_data_size: byteCount }).optional(),
    data: numbers.optional(),
  })),
}).meta({ id: "InferenceAnswer" });
export type InferenceAnswer = z.infer<typeof InferenceAnswer>;

/** Names of tensors with `<layer>` for a layer's; −1 for a side that the request decides. */
const tensorMetadata = z.array(z.strictObject({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.int()),
}));

export const ModelMetadata = z.strictObject({
  name: z.string(),
  versions: z.array(z.string()),
  platform: z.string(),
  inputs: tensorMetadata,
  outputs: tensorMetadata,
}).meta({ id: "ModelMetadata" });
export type ModelMetadata = z.infer<typeof ModelMetadata>;

export const ServerMetadata = z.strictObject({
  name: z.string(),
  version: z.string(),
  extensions: z.array(z.string()),
}).meta({ id: "ServerMetadata" });

/** The protocol's error; the native problem's members stand beside it. */
export const InferenceProblem = Problem.extend({ error: z.string() })
  .meta({ id: "InferenceProblem" });
