/** The sessions' part of the OpenAPI document. @module */
import type * as z from "zod";
import { MEDIA_TYPES, SESSION_EVENTS, SessionAnswer, SessionTensorsAnswer } from "@/wire/mod.ts";
import { SESSION_ROUTES, type SessionRoute } from "./session_calls.ts";

/** What the document's other parts are made with. */
interface Makers {
  bothEncodings(schema: string, json?: Record<string, unknown>): unknown;
  idOf(schema: z.ZodType): string;
  problems(statuses: readonly number[]): Record<string, unknown>;
}

const ID = {
  name: "id",
  in: "path",
  required: true,
  schema: { type: "string", pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" },
};
const KEY = {
  name: "Idempotency-Key",
  in: "header",
  description: "The same key within 24 hours changes nothing again, also after a crash",
  schema: { type: "string", maxLength: 255 },
};
const IF_MATCH = {
  name: "If-Match",
  in: "header",
  description: "The revision that the change is meant for, in quotes; another is 412",
  schema: { type: "string" },
};
const DTYPE = { name: "dtype", in: "query", schema: { enum: ["F32", "F16", "BF16"] } };
const SYMMETRIC = { name: "symmetric", in: "query", schema: { enum: ["full", "packed"] } };
const FILE = {
  [MEDIA_TYPES.safetensors]: { schema: { $ref: "#/components/schemas/Safetensors" } },
};

const TIMEOUT = { $ref: "#/components/parameters/Timeout" };

const READ_PROBLEMS = [404, 406, 422, 429, 500, 503, 504];
/** `?dtype` may not be offered or may overflow; there may be nothing to read yet. */
const TENSOR_PROBLEMS = [404, 406, 409, 422, 429, 500, 503, 504];
const CHANGE_PROBLEMS = [400, 404, 406, 409, 412, 413, 415, 422, 429, 500, 503, 504, 507];

/** Paths of sessions, by pattern. */
export function sessionPaths(makers: Makers): Record<string, Record<string, unknown>> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of SESSION_ROUTES) {
    const path = `/v1/sessions${route.path.replace(":id", "{id}")}`;
    (paths[path] ??= {})[route.method] = operationOf(route, makers);
  }
  const read = (
    operationId: string,
    summary: string,
    content: unknown,
    more: unknown[] = [],
    statuses = READ_PROBLEMS,
  ) => ({
    operationId,
    tags: ["sessions"],
    summary,
    parameters: [ID, ...more],
    responses: { 200: { description: summary, content }, ...makers.problems(statuses) },
  });
  paths["/v1/sessions/{id}/preconditioner"] = {
    get: read(
      "session-preconditioner",
      "What a client needs to precondition by itself; ETag and If-None-Match",
      makers.bothEncodings(makers.idOf(SessionTensorsAnswer)),
      [DTYPE, SYMMETRIC],
      TENSOR_PROBLEMS,
    ),
  };
  const eventData = Object.entries(SESSION_EVENTS).map(([event, schema]) =>
    [event, { $ref: `#/components/schemas/${makers.idOf(schema)}` }] as const
  );
  paths["/v1/sessions/{id}/events"] = {
    get: read(
      "session-events",
      "Server-sent events: one a refresh, one a step, and the session's end",
      {
        "text/event-stream": {
          schema: {
            type: "string",
            description:
              "Each event's data is one JSON object; x-events has its schema by the event's name",
          },
          "x-events": Object.fromEntries(eventData),
        },
      },
    ),
  };
  paths["/v1/sessions/{id}/checkpoint"] = {
    get: read("session-checkpoint", "The whole session as one safetensors file", FILE),
    put: {
      operationId: "session-restore",
      tags: ["sessions"],
      summary: "Restores a checkpoint, under a new or the same id",
      parameters: [ID, KEY, IF_MATCH],
      requestBody: { required: true, content: FILE },
      responses: {
        200: {
          description: "The session",
          content: makers.bothEncodings(makers.idOf(SessionAnswer)),
        },
        ...makers.problems(CHANGE_PROBLEMS),
      },
    },
  };
  return paths;
}

function operationOf(
  { call, method, path, summary, request, answer, example }: SessionRoute,
  { bothEncodings, idOf, problems }: Makers,
) {
  const changes = method !== "get" && call !== "updates";
  return {
    operationId: `session-${call}`,
    tags: ["sessions"],
    summary,
    parameters: [
      ...(path === "" ? [] : [ID]),
      TIMEOUT,
      ...(changes ? [KEY] : []),
      ...(changes && path !== "" ? [IF_MATCH] : []),
      ...(call === "factors" ? [DTYPE, SYMMETRIC] : []),
    ],
    ...(request
      ? {
        requestBody: {
          required: call !== "refresh",
          content: bothEncodings(idOf(request), { example }),
        },
      }
      : {}),
    responses: {
      [call === "create" ? 201 : 200]: {
        description: summary,
        content: bothEncodings(idOf(answer)),
      },
      ...problems(
        call === "factors" ? TENSOR_PROBLEMS : method === "get" ? READ_PROBLEMS : CHANGE_PROBLEMS,
      ),
    },
  };
}
