/**
 * Documents to request bodies and back, as a client wants them written.
 *
 * @module
 */
import {
  ANSWERED_TENSOR_FIELDS,
  decodeDocument,
  type Document,
  encodeDocument,
  type Encoding,
  MEDIA_TYPES,
  type Output,
} from "@/wire/documents.ts";
import { type Reply, strangerError } from "./transport.ts";

/** How tensors are written on the wire. Arithmetic is float32 on both sides. */
export interface TensorFormat {
  /** BF16 keeps float32's range; F16 refuses values beyond 65504. @default "F32" */
  readonly dtype?: Output["dtype"];
  /** `packed` sends a symmetric matrix as its upper triangle. @default "full" */
  readonly symmetric?: Output["symmetric"];
}

const PLAIN: Output = { dtype: "F32", symmetric: "full" };
const ENCODINGS = Object.keys(MEDIA_TYPES) as Encoding[];

/** A format with its defaults. */
export function settleFormat(format: TensorFormat = {}): Output {
  return { ...PLAIN, ...format };
}

export function isPlain({ dtype, symmetric }: Output): boolean {
  return dtype === PLAIN.dtype && symmetric === PLAIN.symmetric;
}

/**
 * A document as one array: a body in one piece can be sent again, which `fetch` does by itself where a
 * connection that it had kept turns out to be closed; a stream or a Blob would fail then.
 *
 * @throws CurvdError `overflow` for a value that the format's dtype does not hold.
 */
export function writeBody(
  document: Document,
  encoding: Encoding,
  format: Output,
): Uint8Array<ArrayBuffer> {
  return joined(encodeDocument(document, encoding, format));
}

/** Parts one after another, as one array. */
export function joined(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((bytes, part) => bytes + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** The document of an answer. @throws CurvdError `malformed-body` where what answers is no curvd. */
export function readReply({ headers, body }: Reply, url: string): Document {
  const type = headers.get("content-type") ?? "";
  const encoding = ENCODINGS.find((one) => type.startsWith(MEDIA_TYPES[one]));
  if (encoding === undefined) throw strangerError(url, `its answer is ${type || "of no type"}`);
  return decodeDocument(body, encoding, ANSWERED_TENSOR_FIELDS);
}
