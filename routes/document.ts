/**
 * Bodies to documents and back, in the encoding that the headers ask for.
 *
 * @module
 */
import type { Context } from "hono";
import {
  type Codec,
  type Document,
  type Encoding,
  MEDIA_TYPES,
  type Output,
  type Parts,
} from "@/wire/mod.ts";
import { readBody } from "./body.ts";
import { giveBack } from "./memory.ts";
import { encodingOfAnswer, encodingOfBody } from "./negotiation.ts";

/** Bytes handed to the socket at a time. */
const CHUNK_BYTES = 2 ** 20;

/** A request's document and the encoding its answer is to have. */
export interface Received {
  readonly document: Document;
  readonly answerIn: Encoding;
}

/**
 * Decodes a request. The headers are judged first, so that a refusal costs no upload.
 *
 * @throws CurvdError `unsupported-media-type`, `not-acceptable`, `body-too-large`, and what
 * decoding throws.
 */
export async function readDocument(
  c: Context,
  codec: Codec,
  maxBodyBytes: number,
): Promise<Received> {
  const { req, env } = c;
  const encoding = encodingOfBody(req.raw.headers);
  const answerIn = encodingOfAnswer(req.raw.headers.get("accept"), encoding);
  const body = await readBody(req.raw, maxBodyBytes, {
    incoming: env?.incoming,
    signal: c.get("place")?.signal,
  });
  return { document: await codec.decode(body, encoding), answerIn };
}

/** Encodes an answer; its tensors are given away. */
export async function writeDocument(
  c: Context,
  document: Document,
  codec: Codec,
  encoding: Encoding,
  output: Output,
  headers: Record<string, string> = {},
): Promise<Response> {
  const parts = await codec.encode(document, encoding, output);
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  c.env?.outgoing?.once("finish", () => parts.forEach(giveBack)); // all of them have left
  return c.body(bodyOf(parts, bytes), 200, {
    ...headers,
    "content-type": MEDIA_TYPES[encoding],
    "content-length": String(bytes),
    "vary": "Accept",
  });
}

/** A response's body of these parts, `bytes` long altogether. */
export function bodyOf(parts: Parts, bytes: number) {
  return bytes <= CHUNK_BYTES ? joined(parts, bytes) : streamed(parts);
}

function joined(parts: Parts, bytes: number): Uint8Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The parts in chunks, each made when the socket has room for it. */
function streamed(parts: Parts): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(chunksOf(parts));
}

function* chunksOf(parts: Parts): Generator<Uint8Array<ArrayBuffer>> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += CHUNK_BYTES) {
      yield part.subarray(at, at + CHUNK_BYTES);
    }
  }
}
