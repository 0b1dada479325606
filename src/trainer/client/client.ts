/**
 * A curvd server as functions: every call of api.md, typed by the wire's schemas.
 *
 * Only the schemas' types are used: the server checks what it is sent, and an answer is decoded, not
 * checked again, so that a page need not load zod.
 *
 * @module
 */
import type * as z from "zod";
import { type Document, type Encoding, MEDIA_TYPES, type Output } from "@/wire/documents.ts";
import type {
  CALL_SCHEMAS,
  DeviceAnswer,
  MethodsAnswer,
  SessionRequest,
  SessionsAnswer,
} from "@/wire/mod.ts";
import { isPlain, readReply, settleFormat, type TensorFormat, writeBody } from "./codec.ts";
import { type CreatedSession, CurvdSession, newKey } from "./session.ts";
import { type CallOptions, type Reply, Transport, type TransportOptions } from "./transport.ts";

type Schemas = typeof CALL_SCHEMAS;
/** A stateless call, by the noun of its URL. */
export type CallName = keyof Schemas;
export type CallRequest<C extends CallName> = z.input<Schemas[C]["request"]>;
export type CallAnswer<C extends CallName> = z.output<Schemas[C]["answer"]>;

export interface ClientOptions extends TransportOptions {
  /** Of requests, and so of answers; JSON is for looking at, it holds 2²⁰ numbers at most. @default "safetensors" */
  readonly encoding?: Encoding;
  /** How requests' tensors are written. */
  readonly send?: TensorFormat;
  /** How answers' tensors are asked for. Packed matrices stay packed: `unpackSymmetric` opens them. */
  readonly receive?: TensorFormat;
}

/** A curvd server, seen from a training loop. */
export class CurvdClient {
  readonly encoding: Encoding;
  readonly #transport: Transport;
  readonly #send: Output;
  readonly #receive: Output;

  /** @param url the server's address, such as `http://127.0.0.1:5322`. */
  constructor(readonly url: string, options: ClientOptions = {}) {
    this.encoding = options.encoding ?? "safetensors";
    this.#transport = new Transport(url, options);
    this.#send = settleFormat(options.send);
    this.#receive = settleFormat(options.receive);
  }

  /**
   * Makes a stateless call.
   *
   * @throws CurvdError as the server threw it, with the code, message and facts of its problem
   *   document; `malformed-body` where what answers is no curvd.
   * @throws UnreachableError where no answer came in all attempts.
   */
  async call<C extends CallName>(
    call: C,
    request: CallRequest<C>,
    options: CallOptions = {},
  ): Promise<CallAnswer<C>> {
    const document = call === "plan" ? request : this.withOutput(request);
    return await this.ask("POST", `/v1/${call}`, document as Document, options) as CallAnswer<C>;
  }

  /** Which engine the server runs, why, and on what. */
  async device(options?: CallOptions): Promise<z.output<typeof DeviceAnswer>> {
    return await this.ask("GET", "/v1/device", null, options) as z.output<typeof DeviceAnswer>;
  }

  /** The methods offered, with papers, parameters and kinds of layer. */
  async methods(options?: CallOptions): Promise<z.output<typeof MethodsAnswer>> {
    return await this.ask("GET", "/v1/methods", null, options) as z.output<typeof MethodsAnswer>;
  }

  /** Whether the server takes work; false also where nothing answers. Asked once. */
  async isReady({ signal }: CallOptions = {}): Promise<boolean> {
    try {
      const response = await this.#transport.open(
        { method: "GET", path: "/health/ready" },
        { signal },
      );
      await response.body?.cancel();
      return true;
    } catch {
      signal?.throwIfAborted();
      return false;
    }
  }

  /** Opens a session. @throws CurvdError `conflict` where its id is taken. */
  async createSession(
    request: z.input<typeof SessionRequest>,
    options: CallOptions = {},
  ): Promise<CreatedSession> {
    const key = { "idempotency-key": newKey() };
    const answer = await this.ask("POST", "/v1/sessions", request as Document, options, key);
    return { session: this.session(String(answer.id)), answer: answer as CreatedSession["answer"] };
  }

  /** A session by its id; nothing is asked. */
  session(id: string): CurvdSession {
    return new CurvdSession(this, id);
  }

  /** All sessions of the server, or of the key. */
  async sessions(options?: CallOptions): Promise<z.output<typeof SessionsAnswer>["sessions"]> {
    const answer = await this.ask("GET", "/v1/sessions", null, options);
    return (answer as z.output<typeof SessionsAnswer>).sessions;
  }

  /** A document there and back: what every call is made of. */
  async ask(
    method: string,
    path: string,
    document: Document | null,
    options: CallOptions = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Document> {
    return readReply(await this.exchange(method, path, document, options, headers), this.url);
  }

  /** A document there, the answer as bytes. */
  async exchange(
    method: string,
    path: string,
    document: Document | null,
    options: CallOptions = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    const media = MEDIA_TYPES[this.encoding];
    return await this.#transport.exchange({
      method,
      path,
      headers: document ? { "content-type": media, ...headers } : { accept: media, ...headers },
      body: document ? writeBody(document, this.encoding, this.#send) : undefined,
    }, options);
  }

  /** Bytes there and back, whatever the client's encoding. */
  async exchangeBytes(
    method: string,
    path: string,
    body: Uint8Array<ArrayBuffer> | undefined,
    options: CallOptions = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    return await this.#transport.exchange({ method, path, headers, body }, options);
  }

  /** An answer that arrives bit by bit. */
  async open(path: string, accept: string, options?: CallOptions): Promise<Response> {
    return await this.#transport.open({ method: "GET", path, headers: { accept } }, options);
  }

  /** A request that says how its answer's tensors are to be written. */
  withOutput<R extends object>(request: R): R {
    return isPlain(this.#receive) ? request : { output: this.#receive, ...request };
  }

  /** The same of a GET. */
  get outputQuery(): string {
    const { dtype, symmetric } = this.#receive;
    return isPlain(this.#receive) ? "" : `?dtype=${dtype}&symmetric=${symmetric}`;
  }
}
