/**
 * What a request to a session says beside its document: which session, under which key, against which revision.
 *
 * @module
 */
import type { Context } from "hono";
import type { SessionCall } from "@/compute/mod.ts";
import { CurvdError } from "@/errors.ts";
import {
  type Codec,
  type Document,
  type Encoding,
  Output,
  PLAIN_OUTPUT,
  SessionId,
  validate,
} from "@/wire/mod.ts";
import { readBody } from "./body.ts";
import { encodingOfAnswer, encodingOfBody } from "./negotiation.ts";
import type { CallServices } from "./stateless.ts";

/** What the handlers of sessions need. */
export interface SessionServices extends CallServices {
  readonly maxCheckpointBytes: number;
  readonly isDraining: () => boolean;
}

/** A body, decoded, with a digest where a key wants one. An absent body is an empty document. */
export async function receive(
  c: Context,
  { codec }: { codec: Codec },
  maxBytes: number,
): Promise<{ document: Document; answerIn: Encoding; digest: string }> {
  const { headers } = c.req.raw;
  const accept = headers.get("accept");
  if (headers.get("content-type") === null && (headers.get("content-length") ?? "0") === "0") {
    return { document: {}, answerIn: encodingOfAnswer(accept, "json"), digest: "" };
  }
  const encoding = encodingOfBody(headers);
  const answerIn = encodingOfAnswer(accept, encoding);
  const body = await readBody(c.req.raw, maxBytes, {
    incoming: c.env?.incoming,
    signal: c.get("place")?.signal,
  });
  // begun before the codec takes the body over: digest() copies it first
  const digesting = c.req.header("idempotency-key") === undefined
    ? ""
    : crypto.subtle.digest("SHA-256", body).then((hash) => new Uint8Array(hash).toHex());
  return { document: await codec.decode(body, encoding), answerIn, digest: await digesting };
}

/** The session that the path names. */
export function targetOf(c: Context): Pick<SessionCall, "session"> {
  const id = c.req.param("id");
  if (id === undefined) return {};
  if (!SessionId.safeParse(id).success) {
    throw new CurvdError("not-found", `There is no session "${id}"`, { value: id });
  }
  return { session: id };
}

/** `Idempotency-Key` and `If-Match`. */
export function headersOf(c: Context, digest: string): Pick<SessionCall, "key" | "revision"> {
  const key = c.req.header("idempotency-key");
  if (key !== undefined && !/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw new CurvdError("invalid-request", "An Idempotency-Key has 1 to 255 characters of ASCII", {
      value: key.slice(0, 60),
    });
  }
  const match = c.req.header("if-match");
  const [, revision] = /^"(\d{1,15})"$/.exec(match ?? "") ?? [];
  if (match !== undefined && match !== "*" && revision === undefined) {
    throw new CurvdError("invalid-request", "If-Match takes a revision in quotes, or *", {
      value: match,
      suggestion: 'If-Match: "12"',
    });
  }
  return {
    ...(key === undefined ? {} : { key: { key, hash: `${c.req.method} ${c.req.path} ${digest}` } }),
    ...(revision === undefined ? {} : { revision: Number(revision) }),
  };
}

/** `?dtype=F16&symmetric=packed`. */
export function outputOf(c: Context): Output {
  const { dtype, symmetric } = c.req.query();
  if (dtype === undefined && symmetric === undefined) return PLAIN_OUTPUT;
  return validate(Output, { dtype, symmetric });
}
