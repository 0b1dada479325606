/**
 * Sessions of a key: below the routes their ids begin with the key's, above them nothing tells so.
 *
 * What belongs to another key is thus not refused but not there. A server without keys keeps ids as they are, and sees none
 * of a key's.
 *
 * @module
 */
import type { Context } from "hono";
import type { Compute, SessionCall } from "@/compute/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Document } from "@/wire/mod.ts";
import { inTurn } from "./admission.ts";
import type { AppEnv } from "./context.ts";

export type OwnSessions = Pick<Compute, "session" | "watch">;

/** The sessions that a request may know of; each call takes its turn. */
export function sessionsOf(c: Context<AppEnv>, compute: Compute): OwnSessions {
  const { id } = c.get("key");
  const session = (call: SessionCall) => inTurn(c, () => compute.session(call));
  return new Namespace({ session, watch: compute.watch.bind(compute) }, id === "" ? "" : `${id}/`);
}

class Namespace implements OwnSessions {
  constructor(private readonly compute: OwnSessions, private readonly prefix: string) {}

  async session(call: SessionCall): Promise<Document> {
    try {
      return this.#inward(call.call, await this.compute.session(this.#outward(call)));
    } catch (error) {
      throw error instanceof CurvdError ? this.#withoutPrefix(error) : error;
    }
  }

  watch(listener: Parameters<Compute["watch"]>[0]): () => void {
    return this.compute.watch((session, event) => {
      if (this.#owns(session)) listener(this.#own(session), event);
    });
  }

  /** The call with ids and Idempotency-Key put under the key: one key's retries are nothing to another. */
  #outward(call: SessionCall): SessionCall {
    const { session, key, request } = call;
    return {
      ...call,
      ...(session === undefined ? {} : { session: this.prefix + session }),
      ...(key === undefined
        ? {}
        : { key: { key: this.prefix + key.key, hash: this.prefix + key.hash } }),
      ...(call.call === "create"
        ? { request: { ...request, id: this.prefix + (request.id ?? crypto.randomUUID()) } }
        : {}),
    };
  }

  #inward(call: SessionCall["call"], answer: Document): Document {
    if (call === "list") {
      const sessions = answer.sessions as { id: string }[];
      return {
        ...answer,
        sessions: sessions.filter(({ id }) => this.#owns(id))
          .map((session) => ({ ...session, id: this.#own(session.id) })),
      };
    }
    return typeof answer.id === "string" ? { ...answer, id: this.#own(answer.id) } : answer;
  }

  /** No id and no key's name has a slash in it. */
  #owns(id: string): boolean {
    return id.startsWith(this.prefix) && !id.includes("/", this.prefix.length);
  }

  #own(id: string): string {
    return id.startsWith(this.prefix) ? id.slice(this.prefix.length) : id;
  }

  /** An error that quotes an id, as the client knows it. */
  #withoutPrefix({ code, message, facts, stack }: CurvdError): CurvdError {
    const own = new CurvdError(code, message.replaceAll(`"${this.prefix}`, '"'), {
      ...facts,
      ...(typeof facts.value === "string" ? { value: this.#own(facts.value) } : {}),
    });
    if (stack !== undefined) own.stack = stack;
    return own;
  }
}
