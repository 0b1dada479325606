/**
 * What all stateless calls share: decode, validate, compute, encode.
 *
 * @module
 */
import type { Context } from "hono";
import type * as z from "zod";
import type { CallName, Compute } from "@/compute/mod.ts";
import { type PackedError, unpackError } from "@/errors.ts";
import { type Metrics, sizeClassOf } from "@/observe/mod.ts";
import {
  CALL_SCHEMAS,
  type Codec,
  type Document,
  type Output,
  PLAIN_OUTPUT,
  validate,
} from "@/wire/mod.ts";
import { inTurn, waitedMs } from "./admission.ts";
import { readDocument, writeDocument } from "./document.ts";
import { problemOf } from "./problem.ts";

/** A stateless call as its file in this folder describes it. */
export interface StatelessCall {
  readonly call: CallName;
  readonly summary: string;
  readonly description: string;
  /** A request that works as it stands. */
  readonly example: Record<string, unknown>;
  readonly request: z.ZodType<Document & { output?: Output }>;
  readonly answer: z.ZodType;
}

type Described = Pick<StatelessCall, "call" | "summary" | "description" | "example">;

/** Joins a description with its schemas. */
export function statelessCall(described: Described): StatelessCall {
  const { request, answer } = CALL_SCHEMAS[described.call];
  return { ...described, request: request as StatelessCall["request"], answer };
}

/** What a call's handler needs. */
export interface CallServices {
  readonly compute: Compute;
  readonly codec: Codec;
  readonly maxBodyBytes: number;
  readonly metrics: Metrics;
}

/** The handler of a call. */
export function handlerOf({ call, request }: StatelessCall, services: CallServices) {
  const { compute, codec, maxBodyBytes, metrics } = services;

  return async function answerCall(c: Context): Promise<Response> {
    const started = performance.now();
    const { document, answerIn } = await readDocument(c, codec, maxBodyBytes);
    const valid = validate(request, document);
    const size = sizeClassOf(valid);
    const receivedMs = performance.now() - started;

    const answer = await inTurn(c, (signal) => compute.call(call, valid, { signal }));
    countWait(answer, waitedMs(c));
    tell(metrics, call, size, answer);
    const named = withProblems(answer, c.get("requestId"));
    return await writeDocument(c, named, codec, answerIn, valid.output ?? PLAIN_OUTPUT, {
      "server-timing": serverTiming({ receive_ms: receivedMs, ...timingOf(answer) }),
    });
  };
}

/** Layers that failed alone (`on_error: skip`) carry a packed error: here it becomes a problem. */
function withProblems(answer: Document, instance: string): Document {
  if (answer.layers === undefined) return answer;
  const layers = Object.entries(answer.layers).map(([name, layer]) => {
    if (layer.error === undefined) return [name, layer] as const;
    const error = unpackError(layer.error as PackedError);
    return [name, { ...layer, error: problemOf(error, instance) }] as const;
  });
  return { ...answer, layers: Object.fromEntries(layers) };
}

/** Counts what an answer tells of itself. */
export function tell(metrics: Metrics, call: string, size: string, answer: Document): void {
  metrics.computed(call, size, timingOf(answer));
  const diagnostics = Object.entries(answer.layers ?? {}).map(([name, layer]) =>
    [name, layer.diagnostics] as const
  );
  metrics.diagnosed(call, Object.fromEntries(diagnostics));
}

/** Adds what a request waited for its turn to what it waited at the device. */
export function countWait({ timing }: Document, ms: number): void {
  if (timing === undefined) return;
  const stages = timing as Record<string, number>;
  stages.wait_ms = (stages.wait_ms ?? 0) + ms;
  stages.total_ms = (stages.total_ms ?? 0) + ms;
}

/** A document's timing, by stage. */
export function timingOf({ timing }: Document): Record<string, number> {
  return (timing ?? {}) as Record<string, number>;
}

/** `{ wait_ms: 1.5 }` as `wait;dur=1.50`, the form of the W3C's Server-Timing. */
export function serverTiming(timing: Record<string, number>): string {
  return Object.entries(timing)
    .map(([stage, ms]) => `${stage.replace(/_ms$/, "")};dur=${ms.toFixed(2)}`).join(", ");
}
