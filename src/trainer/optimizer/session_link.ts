/**
 * A session that outlives its server: opened, found again, or opened anew.
 *
 * When no attempt of a call is answered, the server counts as lost. From then on it is asked in the
 * background, and calls wait or fail at once, as they say. When it is back, the session is looked for; where
 * it is gone with its store it is opened anew under the same id, with no statistics.
 *
 * @module
 */
import type * as z from "zod";
import { CurvdError } from "@/errors.ts";
import type { SessionRequest } from "@/wire/mod.ts";
import { type CurvdClient, type CurvdSession, isServerAway } from "../client/mod.ts";
import { backoffMs, DEFAULT_RETRY, pause } from "../client/retry.ts";
import type { OnLost } from "./options.ts";

/** The server is away, and the call was not to wait for it. */
export class ServerLostError extends Error {
  override readonly name = "ServerLostError";
}

export interface LinkEvents {
  lost(error: Error): void;
  back(facts: { recreated: boolean; afterMs: number }): void;
}

export class SessionLink {
  /** Times that the session was opened: what is known of its state holds within one. */
  generation = 0;
  #request: z.input<typeof SessionRequest>;
  #session: CurvdSession | null = null;
  #opening: Promise<CurvdSession> | null = null;
  /** While the server is away: when it is back. */
  #absence: Promise<void> | null = null;
  readonly #end = new AbortController();

  constructor(
    private readonly client: CurvdClient,
    request: z.input<typeof SessionRequest>,
    private readonly tell: LinkEvents,
  ) {
    this.#request = request;
  }

  get isLost(): boolean {
    return this.#absence !== null;
  }

  /** Null before the session is open. */
  get id(): string | null {
    return this.#session?.id ?? null;
  }

  /**
   * Makes a call of the session, once it is open.
   *
   * @param call may be made again; a change is to carry the same key each time.
   * @throws ServerLostError where the server is away and `onLost` is `gradient`; whatever the call throws.
   */
  async run<T>(call: (session: CurvdSession) => Promise<T>, onLost: OnLost): Promise<T> {
    for (;;) {
      if (this.#absence) {
        if (onLost === "gradient") throw new ServerLostError("The server is away");
        await this.#absence;
      }
      const { generation } = this;
      try {
        return await call(await this.#open());
      } catch (error) {
        if (this.#end.signal.aborted) throw error;
        if (isGone(error)) {
          if (generation === this.generation) await this.#openAgain(performance.now());
        } else if (isServerAway(error)) this.#lose(error as Error);
        else throw error;
      }
    }
  }

  /** Makes the session what a checkpoint says. */
  async restore(checkpoint: Uint8Array<ArrayBuffer>): Promise<void> {
    const id = this.#session?.id ?? this.#request.id ?? `trainer-${Date.now().toString(36)}`;
    const session = this.client.session(id);
    await session.restore(checkpoint);
    this.#adopt(session);
  }

  /** Ends the session on the server, if there is one. @throws as the client does. */
  async endSession(): Promise<void> {
    await this.#session?.delete({ signal: this.#end.signal });
    this.#session = null;
  }

  /** Stops looking for a lost server. */
  close(): void {
    this.#end.abort(new Error("The optimizer was disposed"));
  }

  async #open(): Promise<CurvdSession> {
    if (this.#session) return this.#session;
    this.#opening ??= this.#create().finally(() => this.#opening = null);
    return await this.#opening;
  }

  /** Opens the session, or takes the one there is under the id asked for. */
  async #create(): Promise<CurvdSession> {
    const { signal } = this.#end;
    try {
      const { session } = await this.client.createSession(this.#request, { signal });
      this.#adopt(session);
      return session;
    } catch (error) {
      const isTaken = error instanceof CurvdError && error.code === "conflict";
      if (!isTaken || this.#request.id === undefined) throw error;
      const session = this.client.session(this.#request.id);
      const { method, layers } = await session.inspect({ signal });
      const own = Object.keys(this.#request.layers);
      const isOurs = method === (this.#request.method ?? "kfac") &&
        own.length === Object.keys(layers).length && own.every((name) => name in layers);
      if (!isOurs) throw error;
      const { damping, decay, refresh, kl_clip } = this.#request;
      await session.patch({
        ...(damping === undefined ? {} : { damping }),
        decay,
        refresh,
        kl_clip,
      });
      this.#adopt(session);
      return session;
    }
  }

  #adopt(session: CurvdSession): void {
    this.#session = session;
    this.#request = { ...this.#request, id: session.id };
    this.generation++;
  }

  #lose(error: Error): void {
    if (this.#absence) return; // another call has found out
    this.tell.lost(error);
    const begun = performance.now();
    this.#absence = this.#await(begun).finally(() => this.#absence = null);
    this.#absence.catch(() => {}); // told to whoever waits
  }

  async #await(begun: number): Promise<void> {
    const { signal } = this.#end;
    for (let attempt = 1;; attempt++) {
      await pause(backoffMs(attempt, DEFAULT_RETRY), signal);
      if (!await this.client.isReady({ signal })) continue;
      try {
        await this.#session?.inspect({ signal });
        return this.tell.back({ recreated: false, afterMs: performance.now() - begun });
      } catch (error) {
        if (isGone(error)) return await this.#openAgain(begun);
        if (!isServerAway(error)) throw error;
      }
    }
  }

  async #openAgain(begun: number): Promise<void> {
    this.#session = null;
    await this.#open();
    this.tell.back({ recreated: true, afterMs: performance.now() - begun });
  }
}

function isGone(error: unknown): boolean {
  return error instanceof CurvdError && error.code === "not-found";
}
