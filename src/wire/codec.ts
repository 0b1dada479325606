/**
 * The codec as the HTTP thread uses it: what is cheap is done at once, what is not in a Worker.
 *
 * Cheap are small JSON, and safetensors whose tensors can be used (or sent) as they lie. Bodies and
 * answers above {@linkcode INLINE_BYTES} that must be parsed, printed, rounded or packed would hold
 * up every other request for 10 ms and more a megabyte.
 *
 * @module
 */
import { CurvdError, type PackedError, unpackError } from "@/errors.ts";
import { decodeDocument } from "./decode_document.ts";
import { buffersOf, tensorsOf } from "./document.ts";
import { encodeDocument, type Parts } from "./encode_document.ts";
import type { Encoding } from "./encoding.ts";
import { isViewable, readLayout } from "./safetensors.ts";
import type { Output } from "./schema.ts";
import type { Document } from "./tensor.ts";

/** Largest body, or answer's tensors, that is parsed or printed on the thread that asks. */
export const INLINE_BYTES = 2 ** 20;

/** HTTP thread → codec Worker. */
export type ToCodec =
  | { id: number; type: "decode"; body: Uint8Array<ArrayBuffer>; encoding: Encoding }
  | { id: number; type: "encode"; document: Document; encoding: Encoding; output: Output };

/** Codec Worker → HTTP thread. */
export type FromCodec =
  | { id: number; type: "done"; result: Document | Parts }
  | { id: number; type: "error"; error: PackedError };

type Job = ToCodec extends infer Message ? Message extends unknown ? Omit<Message, "id"> : never
  : never;

/** Decodes bodies and encodes answers; errors are those of the two functions it stands for. */
export class Codec {
  #worker: Worker | undefined;
  #nextId = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<Document | Parts>>();

  /** @param body given away: its buffer may be detached, or become the document's tensors. */
  async decode(body: Uint8Array<ArrayBuffer>, encoding: Encoding): Promise<Document> {
    if (isCheapToDecode(body, encoding)) return decodeDocument(body, encoding);
    return await this.#post({ type: "decode", body, encoding }, [body.buffer]) as Document;
  }

  /** @param document given away: its tensors may be detached, or become the parts. */
  async encode(document: Document, encoding: Encoding, output: Output): Promise<Parts> {
    if (isCheapToEncode(document, encoding, output)) {
      return encodeDocument(document, encoding, output);
    }
    const job = { type: "encode", document, encoding, output } as const;
    return await this.#post(job, buffersOf(document)) as Parts;
  }

  /** Ends the Worker; what waits for it fails. */
  close(): void {
    this.#fail(new CurvdError("draining", "The server is stopping"));
  }

  #post(job: Job, transfer: ArrayBuffer[]): Promise<Document | Parts> {
    this.#worker ??= this.#start();
    const id = this.#nextId++;
    const answer = Promise.withResolvers<Document | Parts>();
    this.#waiting.set(id, answer);
    this.#worker.postMessage({ ...job, id }, transfer);
    return answer.promise;
  }

  #start(): Worker {
    const worker = new Worker(new URL("./codec_worker.ts", import.meta.url), {
      type: "module",
      deno: { permissions: "none" }, // it reads what anybody sent
    });
    worker.addEventListener("message", ({ data }: MessageEvent<FromCodec>) => {
      const answer = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.type === "done") answer?.resolve(data.result);
      else answer?.reject(unpackError(data.error));
    });
    worker.addEventListener("error", (event) => {
      event.preventDefault(); // unhandled, it would end the server
      this.#fail(new CurvdError("internal", `The codec stopped: ${event.message}`));
    });
    return worker;
  }

  /** Drops the Worker with all it was doing; the next job starts another. */
  #fail(error: CurvdError): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const answer of this.#waiting.values()) answer.reject(error);
    this.#waiting.clear();
  }
}

function isCheapToDecode(body: Uint8Array<ArrayBuffer>, encoding: Encoding): boolean {
  return body.length <= INLINE_BYTES ||
    (encoding === "safetensors" && isViewable(readLayout(body)));
}

function isCheapToEncode(document: Document, encoding: Encoding, output: Output): boolean {
  const bytes = tensorsOf(document).reduce((sum, { data }) => sum + data.byteLength, 0);
  // a number takes about three times its bytes in print, and longer than parsing it
  if (encoding === "json") return bytes <= INLINE_BYTES / 4;
  return bytes <= INLINE_BYTES || (output.dtype === "F32" && output.symmetric === "full");
}
