/** A stateless call as the Open Inference Protocol describes a model: read from its schemas. @module */
import * as z from "zod";
import { CALL_SCHEMAS } from "../calls.ts";
import { tensorFacts } from "../schema.ts";
import type { ModelMetadata } from "./message.ts";

/** Calls have one version, that of the contract. */
export const MODEL_VERSION = "1";

type TensorMetadata = ModelMetadata["inputs"];

/** What a call takes and answers, of each layer; a side that the request decides is −1. */
export function modelMetadata(call: keyof typeof CALL_SCHEMAS): ModelMetadata {
  const { request, answer } = CALL_SCHEMAS[call];
  return {
    name: call,
    versions: [MODEL_VERSION],
    platform: "curvd",
    inputs: tensorsOf(request),
    outputs: tensorsOf(answer),
  };
}

/** The tensors of a schema, each once: as the first kind of layer has it. */
function tensorsOf(schema: z.ZodType): TensorMetadata {
  const found = new Map<string, TensorMetadata[number]>();
  for (const tensor of collect(schema, "")) {
    if (!found.has(tensor.name)) found.set(tensor.name, tensor);
  }
  return [...found.values()];
}

function collect(schema: unknown, name: string): TensorMetadata {
  const facts = schema instanceof z.ZodType ? tensorFacts(schema) : undefined;
  if (facts !== undefined) {
    const shape = facts.shapes[0].split(",").map(() => -1);
    return [{ name, datatype: facts.isInteger ? "INT32" : "FP32", shape }];
  }
  if (schema instanceof z.ZodObject) {
    const fields = Object.entries(schema.shape);
    return fields.flatMap(([field, inner]) =>
      collect(inner, name === "" ? field : `${name}.${field}`)
    );
  }
  if (schema instanceof z.ZodRecord) return collect(schema.valueType, "<layer>");
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((one) => collect(one, name));
  if (schema instanceof z.ZodPipe) return collect(schema.in, name);
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) {
    return collect(schema.unwrap(), name);
  }
  return [];
}
