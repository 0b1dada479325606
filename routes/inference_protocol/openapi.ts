/** The Open Inference Protocol's part of the OpenAPI document. @module */
import type * as z from "zod";
import { InferenceAnswer, InferenceRequest, ModelMetadata, ServerMetadata } from "@/wire/mod.ts";

/** What the document's other parts are made with. */
interface Makers {
  idOf(schema: z.ZodType): string;
  /** The calls on offer. */
  calls: readonly string[];
  /** Statuses that any stateless call may answer beside 200. */
  statuses: readonly number[];
}

const TAGS = ["inference protocol"];
const BINARY = "The same JSON, and after it the bytes of the tensors whose binary_data_size it " +
  "tells, in its order; Inference-Header-Content-Length is the JSON's length.";
const HEAD_LENGTH = {
  description: "Length of the JSON, where tensors' bytes follow it",
  schema: { type: "integer", minimum: 0 },
};
const EXAMPLE = {
  inputs: [{ name: "fc1.A", shape: [2, 2], datatype: "FP32", data: [2, 0, 0, 4] }],
  parameters: { damping: 0.01 },
};

/** A response of each status, as errors below `/v2` are written. */
export function inferenceProblems(statuses: readonly number[]): Record<string, unknown> {
  const schema = { $ref: "#/components/schemas/InferenceProblem" };
  const problem = { description: "What went wrong", content: { "application/json": { schema } } };
  return Object.fromEntries(statuses.map((status) => [status, problem]));
}

/** Paths below `/v2`. */
export function inferencePaths(makers: Makers): Record<string, unknown> {
  const { idOf, calls, statuses } = makers;
  const json = (schema: object) => ({ "application/json": { schema } });
  const refer = (schema: z.ZodType) => ({ $ref: `#/components/schemas/${idOf(schema)}` });
  const binary = {
    schema: { type: "string", format: "binary", description: BINARY },
  };
  const model = {
    name: "model",
    in: "path",
    required: true,
    description: "A stateless call",
    schema: { enum: calls },
  };
  const read = (operationId: string, summary: string, schema: object, codes: number[]) => ({
    get: {
      operationId,
      tags: TAGS,
      summary,
      ...(operationId.startsWith("v2-model") ? { parameters: [model] } : {}),
      responses: {
        200: { description: summary, content: json(schema) },
        ...inferenceProblems(codes),
      },
    },
  });
  const flag = (name: string) => ({
    type: "object",
    properties: { [name]: { const: true } },
    required: [name],
  });
  const ready = {
    type: "object",
    properties: { name: { type: "string" }, ready: { type: "boolean" } },
    required: ["name", "ready"],
  };
  const readyAnswer = read("v2-model-ready", "Whether a call is taken", ready, [404, 500]);
  Object.assign(readyAnswer.get.responses, {
    503: { description: "It is not taken now", content: json(ready) },
  });

  return {
    "/v2": read("v2-server", "Name, version and extensions", refer(ServerMetadata), [500]),
    "/v2/health/live": read("v2-live", "Whether the process turns", flag("live"), [500]),
    "/v2/health/ready": read("v2-ready", "Whether work is taken", flag("ready"), [500, 503]),
    "/v2/models/{model}": read(
      "v2-model",
      "A call's tensors",
      refer(ModelMetadata),
      [404, 500],
    ),
    "/v2/models/{model}/ready": readyAnswer,
    "/v2/models/{model}/infer": {
      post: {
        operationId: "v2-infer",
        tags: TAGS,
        summary: "A stateless call by the Open Inference Protocol",
        description:
          "Tensors are named `<layer>.<field>` as in safetensors; every other field of " +
          "the call's document is one of `parameters`, or together they are one JSON string, " +
          "`parameters.document`. The answer has its own `parameters.document`.",
        parameters: [model, {
          ...HEAD_LENGTH,
          name: "Inference-Header-Content-Length",
          in: "header",
        }],
        requestBody: {
          required: true,
          content: {
            "application/json": { schema: refer(InferenceRequest), example: EXAMPLE },
            "application/octet-stream": binary,
          },
        },
        responses: {
          200: {
            description: "The tensors asked for",
            headers: { "Inference-Header-Content-Length": HEAD_LENGTH },
            content: {
              ...json(refer(InferenceAnswer)),
              "application/octet-stream": binary,
            },
          },
          ...inferenceProblems([...new Set([...statuses, 404])]),
        },
      },
    },
  };
}
