/** `GET /v1/sessions/{id}/preconditioner`: downloaded once a version. @module */
import type { Context } from "hono";
import { writeDocument } from "./document.ts";
import { sessionsOf } from "./namespace.ts";
import { encodingOfAnswer } from "./negotiation.ts";
import { outputOf, type SessionServices, targetOf } from "./session_request.ts";

export function preconditionerHandler({ compute, codec }: SessionServices) {
  return async function answerPreconditioner(c: Context): Promise<Response> {
    const encoding = encodingOfAnswer(c.req.raw.headers.get("accept"), "json");
    const output = outputOf(c);
    const form = `${output.dtype}-${output.symmetric}-${encoding}`;
    const { tag, unchanged, ...answer } = await sessionsOf(c, compute).session({
      call: "preconditioner",
      ...targetOf(c),
      request: { known: knownVersion(c.req.header("if-none-match"), form) },
    });
    const etag = `"${tag}-${form}"`;
    if (unchanged) return c.body(null, 304, { etag, vary: "Accept" });
    return await writeDocument(c, answer, codec, encoding, output, { etag });
  };
}

/** What the client has, where it has it in the form asked for. */
function knownVersion(header: string | undefined, form: string): string | undefined {
  const tags = (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  const ending = `-${form}"`;
  const known = tags.find((tag) => tag.startsWith('"') && tag.endsWith(ending));
  return known?.slice(1, -ending.length);
}
