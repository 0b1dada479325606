/**
 * curvd's stateless calls as functions: typed by the wire's schemas, sent in either encoding.
 *
 * @module
 */
import type * as z from "zod";
import { CurvdError, type ErrorCode } from "@/errors.ts";
import {
  ANSWERED_TENSOR_FIELDS,
  CALL_SCHEMAS,
  decodeDocument,
  DeviceAnswer,
  type Document,
  encodeDocument,
  type Encoding,
  MEDIA_TYPES,
  PLAIN_OUTPUT,
  Problem,
  validate,
} from "@/wire/mod.ts";

type Schemas = typeof CALL_SCHEMAS;
/** A call, by the noun of its URL. */
export type CallName = keyof Schemas;
export type CallRequest<C extends CallName> = z.input<Schemas[C]["request"]>;
export type CallAnswer<C extends CallName> = z.output<Schemas[C]["answer"]>;

const ENCODINGS = Object.keys(MEDIA_TYPES) as Encoding[];

/** A curvd server, seen from a training loop. */
export class CurvdClient {
  /**
   * @param url the server's address, such as `http://127.0.0.1:5322`.
   * @param encoding of requests, and so of answers; JSON is for looking at, it holds 2²⁰ numbers at most.
   */
  constructor(readonly url: string, readonly encoding: Encoding = "safetensors") {}

  /**
   * Makes a call.
   *
   * @throws CurvdError as the server threw it, with the code, message and facts of its problem
   *   document; `malformed-body` where what answers is no curvd. A server that cannot be reached
   *   is fetch's own `TypeError`.
   */
  async call<C extends CallName>(
    call: C,
    request: CallRequest<C>,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<CallAnswer<C>> {
    const parts = encodeDocument(request as Document, this.encoding, PLAIN_OUTPUT);
    const response = await fetch(new URL(`/v1/${call}`, this.url), {
      method: "POST",
      headers: { "content-type": MEDIA_TYPES[this.encoding] },
      body: joined(parts),
      signal,
    });
    const document = await readAnswer(response);
    return validate(CALL_SCHEMAS[call].answer, document) as CallAnswer<C>;
  }

  /** Which engine the server runs, why, and on what. */
  async device(): Promise<z.output<typeof DeviceAnswer>> {
    return validate(DeviceAnswer, await readAnswer(await fetch(new URL("/v1/device", this.url))));
  }
}

/**
 * The parts as one array. A body in one piece can be sent again, which `fetch` does by itself where
 * a connection it had kept turns out to be closed; a stream or a Blob would fail then.
 */
function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((bytes, part) => bytes + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

async function readAnswer(response: Response): Promise<Document> {
  if (!response.ok) throw await readProblem(response);
  const type = response.headers.get("content-type") ?? "";
  const encoding = ENCODINGS.find((one) => type.startsWith(MEDIA_TYPES[one]));
  if (encoding === undefined) throw notCurvd(response, `its answer is ${type || "of no type"}`);
  const body = new Uint8Array(await response.arrayBuffer());
  return decodeDocument(body, encoding, ANSWERED_TENSOR_FIELDS);
}

/** The error whose problem document this is. */
async function readProblem(response: Response): Promise<CurvdError> {
  const text = await response.text();
  if (!response.headers.get("content-type")?.startsWith("application/problem+json")) {
    return notCurvd(response, `it answers ${response.status} ${text.slice(0, 200)}`);
  }
  const { type, title: _, detail, ...facts } = Problem.parse(JSON.parse(text));
  return new CurvdError(type.split("/").at(-1) as ErrorCode, detail, facts);
}

function notCurvd({ url }: Response, why: string): CurvdError {
  return new CurvdError("malformed-body", `${url} is no curvd: ${why}`);
}
