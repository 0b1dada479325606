/**
 * An inference request as the native call's own request.
 *
 * Only its JSON is read here; the tensors' bytes stay on the socket until the native handler asks
 * for them, so that its limits hold for both protocols.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { type InferenceForm, MAX_HEAD_BYTES, MEDIA_TYPES, readInferenceHead } from "@/wire/mod.ts";
import { chunksOf, declaredLength, readBody } from "../body.ts";
import { encodingOfBody } from "../negotiation.ts";

/** Length of the JSON at the start of a body that ends with tensors' bytes. */
const HEAD_LENGTH = "inference-header-content-length";

/**
 * Translates.
 *
 * @throws CurvdError `malformed-body`, `body-too-large`, `unsupported-media-type`, `aborted`, and
 * what reading the JSON throws.
 */
export async function nativeRequest(
  raw: Request,
): Promise<{ request: Request; form: InferenceForm }> {
  const headers = new Headers(raw.headers);
  headers.set("content-type", MEDIA_TYPES.safetensors);
  headers.set("accept", MEDIA_TYPES.safetensors);
  encodingOfBody(headers); // refuses a compressed body before it is taken for JSON

  const { head, rest, restBytes } = await split(raw);
  const { start, form } = readInferenceHead(head);
  if (restBytes === undefined) headers.delete("content-length");
  else {
    const startBytes = start.reduce((sum, part) => sum + part.length, 0);
    headers.set("content-length", String(startBytes + restBytes));
  }
  const init = { method: raw.method, headers, signal: raw.signal, duplex: "half" };
  const body = ReadableStream.from(inTurn(start, rest));
  return { request: new Request(raw.url, { ...init, body }), form };
}

interface Split {
  readonly head: Uint8Array;
  readonly rest: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Undefined for a chunked body. */
  readonly restBytes: number | undefined;
}

async function split(raw: Request): Promise<Split> {
  const declaredHead = raw.headers.get(HEAD_LENGTH);
  if (declaredHead === null) {
    return {
      head: await readBody(raw, MAX_HEAD_BYTES).catch(adviseBinary),
      rest: [],
      restBytes: 0,
    };
  }
  if (!/^\d{1,15}$/.test(declaredHead)) {
    throw new CurvdError(
      "malformed-body",
      "Inference-Header-Content-Length must be an integer ≥ 0",
      {
        value: declaredHead,
      },
    );
  }
  const headBytes = Number(declaredHead);
  if (headBytes > MAX_HEAD_BYTES) {
    throw new CurvdError(
      "body-too-large",
      `The JSON of a request may have ${MAX_HEAD_BYTES} bytes, not ${headBytes}`,
      { value: headBytes, limit: MAX_HEAD_BYTES },
    );
  }
  const chunks = chunksOf(raw);
  const { head, left } = await take(chunks, headBytes);
  const declared = declaredLength(raw);
  const restBytes = declared === undefined ? undefined : declared - headBytes;
  return { head, rest: inTurn([left], chunks), restBytes };
}

function adviseBinary(error: unknown): never {
  if (!(error instanceof CurvdError) || error.code !== "body-too-large") throw error;
  throw error.with({ suggestion: "send tensors as binary data, after the JSON" });
}

/** The first `bytes` of a body, and what is left of the chunk in which they end. */
async function take(chunks: AsyncIterator<Uint8Array>, bytes: number) {
  const head = new Uint8Array(bytes);
  let filled = 0;
  let left: Uint8Array = new Uint8Array(0);
  while (filled < bytes) {
    const { value: chunk, done } = await chunks.next();
    if (done) {
      const message = `The JSON should have ${bytes} bytes, the body ends after ${filled}`;
      throw new CurvdError("malformed-body", message, { offset: filled, limit: bytes });
    }
    left = chunk.subarray(bytes - filled);
    head.set(chunk.subarray(0, bytes - filled), filled);
    filled += chunk.length - left.length;
  }
  return { head, left };
}

async function* inTurn(
  first: Iterable<Uint8Array>,
  then: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* first;
  yield* then;
}
