/** What the OpenAPI document's operations refer to: schemas, parameters, headers. @module */
import { LONGEST_TIMEOUT_MS } from "./admission.ts";
import * as z from "zod";

/** Tensors are checked by code; this is what the code takes. */
const TENSOR_SCHEMAS = {
  Tensor: {
    description: "A tensor: nested arrays of numbers, or its shape and its numbers in row-major " +
      "order. A 1-D tensor of d(d+1)/2 numbers, where a symmetric [d, d] is expected, is its " +
      "packed upper triangle, row-major (numpy.triu_indices).",
    anyOf: [
      { $ref: "#/components/schemas/NestedNumbers" },
      {
        type: "object",
        properties: {
          shape: { type: "array", items: { type: "integer", minimum: 0 }, maxItems: 8 },
          data: { type: "array", items: { type: "number" } },
        },
        required: ["shape", "data"],
        additionalProperties: false,
      },
    ],
  },
  NestedNumbers: {
    type: "array",
    items: { anyOf: [{ type: "number" }, { $ref: "#/components/schemas/NestedNumbers" }] },
  },
  Safetensors: {
    type: "string",
    format: "binary",
    contentMediaType: "application/vnd.safetensors",
    description:
      "The same document: tensors named <layer>.<field> (F64, F32, F16, BF16; ids also " +
      "I64, I32, U32), everything else as one JSON string in __metadata__.document.",
  },
};

/** Every schema with an id, by that id, and the shapes of tensors. */
function schemas(): Record<string, unknown> {
  const { schemas } = z.toJSONSchema(z.globalRegistry, {
    io: "input",
    unrepresentable: "any",
    uri: (id) => `#/components/schemas/${id}`,
  });
  const bare = Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) =>
    [id, schema] as const
  );
  return { ...Object.fromEntries(bare), ...TENSOR_SCHEMAS };
}

export function sharedComponents(): Record<string, unknown> {
  const requestId = { type: "string", maxLength: 255, pattern: "^[\\w\\-=]+$" };
  return {
    schemas: schemas(),
    parameters: {
      RequestId: {
        name: "X-Request-Id",
        in: "header",
        description: "The caller's own id of the request: 1 to 255 letters, digits, -, _ or =; " +
          "where it is another or absent, one is made up",
        schema: { type: "string" },
      },
      Timeout: {
        name: "Curvd-Timeout-Ms",
        in: "header",
        description:
          "The answer is of no use later: it is refused at once (429) where that can be " +
          "foreseen, given up (504) where not. A change of a session that was begun is finished",
        schema: { type: "integer", minimum: 1, maximum: LONGEST_TIMEOUT_MS },
      },
    },
    headers: {
      RequestId: { description: "Id of the request, a problem's `instance`", schema: requestId },
      ServerTiming: {
        description: "Milliseconds of receiving, waiting, computing and reading, in the W3C's form",
        schema: { type: "string" },
      },
    },
  };
}
