/** The Worker in which a {@link Codec} has its costly jobs done. @module */
import { packError } from "@/errors.ts";
import type { FromCodec, ToCodec } from "./codec.ts";
import { decodeDocument } from "./decode_document.ts";
import { buffersOf } from "./document.ts";
import { encodeDocument } from "./encode_document.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.addEventListener("message", ({ data: job }: MessageEvent<ToCodec>) => {
  const post = (message: FromCodec, transfer: ArrayBuffer[]) =>
    scope.postMessage(message, transfer);
  try {
    if (job.type === "decode") {
      const document = decodeDocument(job.body, job.encoding);
      post({ id: job.id, type: "done", result: document }, buffersOf(document));
    } else {
      const parts = encodeDocument(job.document, job.encoding, job.output);
      const buffers = new Set(parts.map((part) => part.buffer));
      post({ id: job.id, type: "done", result: parts }, [...buffers]);
    }
  } catch (error) {
    post({ id: job.id, type: "error", error: packError(error) }, []);
  }
});
