/**
 * One session of a server: every call of api.md, section 4.
 *
 * A change carries an Idempotency-Key of its own, kept over all its attempts: however often it is
 * sent, the server's averages take its batch once.
 *
 * @module
 */
import type * as z from "zod";
import { type Document, MEDIA_TYPES } from "@/wire/documents.ts";
import type {
  ChangeAnswer,
  ReportRequest,
  SessionAnswer,
  SessionPatch,
  SessionTensorsAnswer,
  SessionUpdatesAnswer,
  SessionUpdatesRequest,
  StatisticsRequest,
  StepsRequest,
} from "@/wire/mod.ts";
import type { CurvdClient } from "./client.ts";
import { readReply } from "./codec.ts";
import { type EventOptions, type SessionEvent, watchEvents } from "./events.ts";
import type { CallOptions } from "./transport.ts";

export interface CreatedSession {
  readonly session: CurvdSession;
  readonly answer: z.output<typeof SessionAnswer>;
}

export interface ChangeOptions extends CallOptions {
  /** Idempotency-Key; a new one where it is left out. */
  readonly key?: string;
  /** If-Match: the revision that the change is meant for. */
  readonly revision?: number;
}

export type Change = z.output<typeof ChangeAnswer>;
export type SessionUpdates = z.output<typeof SessionUpdatesAnswer>;
export type SessionTensors = z.output<typeof SessionTensorsAnswer>;

export class CurvdSession {
  constructor(private readonly client: CurvdClient, readonly id: string) {}

  /** Configuration, counters, and what is known of each layer. */
  async inspect(options?: CallOptions): Promise<z.output<typeof SessionAnswer>> {
    const answer = await this.client.ask("GET", this.#path(), null, options);
    return answer as z.output<typeof SessionAnswer>;
  }

  /** Changes damping, decay, refresh or kl_clip. */
  async patch(changes: z.input<typeof SessionPatch>, options?: ChangeOptions): Promise<Change> {
    return await this.#change("PATCH", "", changes, options) as Change;
  }

  /** Ends it. */
  async delete(options: ChangeOptions = {}): Promise<Change> {
    const headers = headersOf(options);
    return await this.client.ask("DELETE", this.#path(), null, options, headers) as Change;
  }

  /** Takes a batch into the running averages. */
  async statistics(
    request: z.input<typeof StatisticsRequest>,
    options?: ChangeOptions,
  ): Promise<Change> {
    return await this.#change("POST", "/statistics", request, options) as Change;
  }

  /** Has the preconditioner made anew, now. */
  async refresh(options?: ChangeOptions): Promise<Change> {
    return await this.#change("POST", "/refresh", {}, options) as Change;
  }

  /** Gradients in, updates out, by the current preconditioner. */
  async updates(
    request: z.input<typeof SessionUpdatesRequest>,
    options?: CallOptions,
  ): Promise<SessionUpdates> {
    const document = this.client.withOutput(request) as Document;
    const answer = await this.client.ask("POST", this.#path("/updates"), document, options);
    return answer as SessionUpdates;
  }

  /** Statistics and gradients in, updates out; refreshes where that is due. */
  async steps(
    request: z.input<typeof StepsRequest>,
    options?: ChangeOptions,
  ): Promise<SessionUpdates> {
    const document = this.client.withOutput(request);
    return await this.#change("POST", "/steps", document, options) as SessionUpdates;
  }

  /** What a step brought, for Levenberg–Marquardt damping. */
  async reports(request: z.input<typeof ReportRequest>, options?: ChangeOptions): Promise<Change> {
    return await this.#change("POST", "/reports", request, options) as Change;
  }

  /** The running averages. */
  async factors(options?: CallOptions): Promise<SessionTensors> {
    const path = this.#path(`/factors${this.client.outputQuery}`);
    return await this.client.ask("GET", path, null, options) as SessionTensors;
  }

  /**
   * What a client needs to precondition by itself.
   *
   * @param known the etag of the one that the caller has.
   * @returns `document` null where that is still the current one.
   * @throws CurvdError `conflict` before the first refresh, and for methods that only the server can apply.
   */
  async preconditioner(
    { known, ...options }: CallOptions & { known?: string | null } = {},
  ): Promise<{ etag: string; document: SessionTensors | null }> {
    const headers: Record<string, string> = known ? { "if-none-match": known } : {};
    const path = this.#path(`/preconditioner${this.client.outputQuery}`);
    const reply = await this.client.exchange("GET", path, null, options, headers);
    const etag = reply.headers.get("etag") ?? "";
    if (reply.status === 304) return { etag, document: null };
    return { etag, document: readReply(reply, this.client.url) as SessionTensors };
  }

  /** The whole session as a safetensors file. */
  async checkpoint(options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    const accept = { accept: MEDIA_TYPES.safetensors };
    const path = this.#path("/checkpoint");
    return (await this.client.exchangeBytes("GET", path, undefined, options, accept)).body;
  }

  /**
   * Makes this session what a checkpoint says; it need not exist.
   *
   * @throws CurvdError `conflict` where it exists and is configured otherwise.
   */
  async restore(
    checkpoint: Uint8Array<ArrayBuffer>,
    options: ChangeOptions = {},
  ): Promise<z.output<typeof SessionAnswer>> {
    const headers = { "content-type": MEDIA_TYPES.safetensors, ...headersOf(options) };
    const path = this.#path("/checkpoint");
    const reply = await this.client.exchangeBytes("PUT", path, checkpoint, options, headers);
    return readReply(reply, this.client.url) as z.output<typeof SessionAnswer>;
  }

  /** What happens to the session, as it happens; ends when it is deleted or the signal is aborted. */
  events(options?: EventOptions): AsyncGenerator<SessionEvent, void> {
    return watchEvents(this.client, this.#path("/events"), options);
  }

  #path(rest = ""): string {
    return `/v1/sessions/${this.id}${rest}`;
  }

  async #change(
    method: string,
    rest: string,
    document: object,
    options: ChangeOptions = {},
  ): Promise<Document> {
    const headers = headersOf(options);
    return await this.client.ask(method, this.#path(rest), document as Document, options, headers);
  }
}

function headersOf({ key = newKey(), revision }: ChangeOptions): Record<string, string> {
  return {
    "idempotency-key": key,
    ...(revision === undefined ? {} : { "if-match": `"${revision}"` }),
  };
}

/** 128 random bits. (`crypto.randomUUID` is not there on pages served by plain HTTP.) */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
