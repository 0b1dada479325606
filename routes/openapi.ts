/**
 * The OpenAPI 3.1 document, made of the schemas that requests are checked with.
 *
 * @module
 */
import * as z from "zod";
import { MEDIA_TYPES } from "@/wire/mod.ts";
import { inferencePaths } from "./inference_protocol/openapi.ts";
import { PROBLEMS } from "./problem.ts";
import { sharedComponents } from "./openapi_components.ts";
import { sessionPaths } from "./session_openapi.ts";
import type { StatelessCall } from "./stateless.ts";

/** The status codes that any stateless call may answer beside 200. */
const CALL_PROBLEMS = [400, 406, 413, 415, 422, 429, 500, 503, 504];

/** @returns the document, as plain JSON. */
export function openApiDocument(calls: readonly StatelessCall[]): Record<string, unknown> {
  return {
    openapi: "3.1.1",
    info: {
      title: "curvd",
      version: "1",
      description:
        "A curvature server: Kronecker factors, damped inverses, eigenbases and preconditioned " +
        "gradients. One document, two encodings: JSON with tensors as nested arrays, or " +
        "safetensors with tensors named `<layer>.<field>` and everything else as a JSON string " +
        "in `__metadata__.document`. The answer comes in the request's encoding unless `Accept` " +
        "asks for the other.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: [
      { name: "calls", description: "Stateless calls" },
      { name: "sessions", description: "Running curvature of a model, kept through restarts" },
      {
        name: "inference protocol",
        description: "The stateless calls for clients of Triton, KServe",
      },
      { name: "server", description: "What runs, and whether it is well" },
    ],
    paths: {
      ...Object.fromEntries(calls.map((call) => [`/v1/${call.call}`, { post: operationOf(call) }])),
      ...sessionPaths({ bothEncodings, idOf, problems }),
      ...inferencePaths({ idOf, calls: calls.map(({ call }) => call), statuses: CALL_PROBLEMS }),
      "/v1/methods": { get: readOperation("methods", "Methods on offer", "MethodsAnswer") },
      "/v1/device": { get: readOperation("device", "The engine and its limits", "DeviceAnswer") },
      "/metrics": { get: METRICS },
      "/health/live": { get: healthOperation("live", "Whether the process turns", [500]) },
      "/health/ready": { get: healthOperation("ready", "Whether work is taken", [500, 503]) },
    },
    components: sharedComponents(),
  };
}

const METRICS = {
  operationId: "metrics",
  tags: ["server"],
  summary: "Metrics for Prometheus",
  responses: {
    200: {
      description: "The text format, version 0.0.4",
      content: { "text/plain": { schema: { type: "string" } } },
    },
    ...problems([500]),
  },
};

function operationOf({ call, summary, description, example, request, answer }: StatelessCall) {
  return {
    operationId: call,
    tags: ["calls"],
    summary,
    description,
    parameters: [
      { $ref: "#/components/parameters/RequestId" },
      { $ref: "#/components/parameters/Timeout" },
    ],
    requestBody: {
      required: true,
      content: bothEncodings(idOf(request), { example }),
    },
    responses: {
      200: {
        description: "The results, by layer",
        headers: {
          "X-Request-Id": { $ref: "#/components/headers/RequestId" },
          "Server-Timing": { $ref: "#/components/headers/ServerTiming" },
        },
        content: bothEncodings(idOf(answer)),
      },
      ...problems(CALL_PROBLEMS),
    },
  };
}

function readOperation(operationId: string, summary: string, schema: string) {
  return {
    operationId,
    tags: ["server"],
    summary,
    parameters: [{ $ref: "#/components/parameters/RequestId" }],
    responses: {
      200: { description: summary, content: bothEncodings(schema) },
      ...problems([406, 500, 503]),
    },
  };
}

function healthOperation(name: string, summary: string, statuses: number[]) {
  const schema = {
    type: "object",
    properties: {
      status: { const: name },
      ...(name === "ready"
        ? { parts: { type: "object", additionalProperties: { const: "ready" } } }
        : {}),
    },
    required: ["status"],
  };
  return {
    operationId: `health-${name}`,
    tags: ["server"],
    summary,
    responses: {
      200: { description: summary, content: { "application/json": { schema } } },
      ...problems(statuses),
    },
  };
}

/** A document as JSON by its schema, and as safetensors. */
function bothEncodings(schema: string, json: Record<string, unknown> = {}) {
  return {
    [MEDIA_TYPES.json]: { schema: { $ref: `#/components/schemas/${schema}` }, ...json },
    [MEDIA_TYPES.safetensors]: { schema: { $ref: "#/components/schemas/Safetensors" } },
  };
}

/** A response of each status, listing the problems that have it. */
export function problems(statuses: readonly number[]) {
  const responses = statuses.map((status) => {
    const kinds = Object.entries(PROBLEMS).filter(([, [of]]) => of === status);
    const description = kinds.map(([code, [, title]]) => `${code}: ${title}`).join("; ");
    const content = {
      "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
    };
    return [status, { description, content }] as const;
  });
  return Object.fromEntries(responses);
}

function idOf(schema: z.ZodType): string {
  const id = z.globalRegistry.get(schema)?.id;
  if (id === undefined) throw new TypeError("A schema of the reference needs an id");
  return id;
}
