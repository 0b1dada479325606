/**
 * The sessions of a server: found, brought back, moved one change at a time.
 *
 * Calls of one session follow one another in the order they came; those of different sessions meet at the device alone, a
 * piece of work at a time: while one waits for the store, another computes.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Head, Store } from "@/sessions/mod.ts";
import type { Document, SessionRequest } from "@/wire/mod.ts";
import { factorsAnswer, inspected, preconditionerAnswer, summary } from "./session_answers.ts";
import { debtOf } from "./session_background.ts";
import type { HostContext } from "./session_context.ts";
import { Journal, type LogLimits } from "./session_journal.ts";
import { keysOf, recalled } from "./session_keys.ts";
import { SessionMemory } from "./session_memory.ts";
import { move } from "./session_move.ts";
import { create, expectSameConfiguration, restore } from "./session_opening.ts";
import type { SessionCall, SessionCounts } from "./session_protocol.ts";
import { Residents } from "./session_residents.ts";
import { updates, updatesAgain } from "./session_update.ts";
import { announced, Transfers } from "./session_transfers.ts";
import { oneAtATime, Queues, type Turn } from "./turns.ts";

/** No session's id: a queue of what comes under keys and makes sessions. */
const CREATIONS = "/creations";

export interface HostOptions {
  readonly engine: Engine;
  readonly store: Store;
  /** All sessions in memory together may take this much of the device. */
  readonly budgetBytes: number;
  /** How long a log may become. */
  readonly logLimits?: LogLimits;
  /** Told of what happens to sessions. */
  readonly emit: HostContext["emit"];
  /** The queue of the device, where others use it too. */
  readonly device?: Turn;
  /** Turns at the device that others may share. */
  readonly together?: Turn;
}

export class SessionHost {
  readonly #store: Store;
  readonly #journal: Journal;
  readonly #residents: Residents;
  readonly #context: HostContext;
  readonly #transfers: Transfers;
  readonly #memory: SessionMemory;
  /** One for each session. */
  readonly #queues = new Queues();

  constructor(
    { engine, store, budgetBytes, logLimits, emit, device = oneAtATime(), together = device }:
      HostOptions,
  ) {
    this.#store = store;
    const journal = this.#journal = new Journal(engine, store, device, logLimits);
    const residents = this.#residents = new Residents(budgetBytes);
    this.#context = { engine, device, together, journal, residents, emit };
    this.#transfers = new Transfers(engine, device);
    this.#memory = new SessionMemory(this.#context, store, this.#queues);
  }

  /** Reads what sessions there are; none is brought back before it is asked for. */
  async start(): Promise<void> {
    for (const { id, head } of await this.#store.sessions()) {
      this.#residents.know(id, JSON.parse(head));
    }
  }

  /** Answers a call, after those of its session that came before. @throws CurvdError as api.md says. */
  async answer(call: SessionCall): Promise<Document> {
    switch (call.call) {
      case "list":
        return { sessions: this.#residents.heads().map(([id, head]) => summary(id, head)) };
      case "checkpoint-piece":
        return await this.#transfers.next(call.request.ticket as string);
      case "restore-begin":
        return this.#receive(call);
      case "restore-piece":
        return await this.#transfers.take(call.request);
      case "transfer-end":
        this.#transfers.end(call.request.ticket as string);
        return {};
    }
    const came = performance.now();
    const { id: chosen } = call.request as Partial<SessionRequest>;
    const id = call.session ?? chosen ?? crypto.randomUUID();
    const inTurn = () =>
      this.#queues.take(id, async () => {
        const waitedMs = performance.now() - came;
        const answer = await this.#answer(call, id);
        if (answer.timing) (answer.timing as { wait_ms: number }).wait_ms += waitedMs;
        return answer;
      });
    // the same key may come with another id, or with none: only one of such requests may create
    const isKeyed = call.call === "create" && call.key !== undefined;
    return await (isKeyed ? this.#queues.take(CREATIONS, inTurn) : inTurn());
  }

  async #answer(call: SessionCall, id: string): Promise<Document> {
    const { engine, device } = this.#context;
    switch (call.call) {
      case "create":
        return await this.#once(call, () => create(this.#context, call, id));
      case "delete":
        return await this.#once(call, () => this.#delete(call));
      case "restore":
        return await this.#once(call, () => this.#restore(call));
      case "inspect": {
        const live = await this.#memory.find(call);
        return await device(() => inspected(engine, live));
      }
      case "updates":
        return await updates(this.#context, await this.#memory.find(call), call);
      case "factors": {
        const live = await this.#memory.find(call);
        return await device(() => factorsAnswer(engine, live));
      }
      case "preconditioner": {
        const live = await this.#memory.find(call);
        return await device(() => preconditionerAnswer(engine, live, call.request));
      }
      case "checkpoint":
        return this.#transfers.send(await this.#memory.find(call));
      default:
        return await this.#once(call, () => this.#move(call));
    }
  }

  /** Work that may wait for calls: a slice of a refresh, a snapshot in place of a long log. Null where there is none. */
  debt(): (() => Promise<void>) | null {
    const owing = this.#residents.all().find((live) => debtOf(this.#context, live) !== null);
    if (!owing) return null;
    const { id } = owing;
    return () =>
      this.#queues.take(id, async () => {
        const live = this.#residents.get(id); // what was owed may be gone by now
        await (live && debtOf(this.#context, live))?.();
      });
  }

  /** Ends sessions that were not touched for as long as they said. @param now by the clock, ms. */
  async expire(now = Date.now()): Promise<void> {
    this.#transfers.expire(now);
    for (const id of this.#residents.idle(now)) {
      if (this.#queues.isBusy(id)) continue;
      await this.#queues.take(id, () => this.#end(id));
    }
  }

  /** Finishes what was taken, keeps what is only in memory, and lets go of the tensors. */
  async close(): Promise<void> {
    await this.#queues.idle();
    this.#transfers.endAll();
    await this.#memory.empty();
    await this.#store.close();
  }

  /** Lets go of the tensors and writes nothing more: what a lost device does. */
  abandon(): void {
    this.#transfers.endAll();
    for (const live of this.#residents.all()) this.#residents.drop(live);
  }

  /** Bytes of all sessions in memory. */
  bytes(): number {
    return this.#residents.bytes();
  }

  /** What there is to count. */
  counts(): SessionCounts {
    const inMemory = this.#residents.all().length;
    const known = this.#residents.heads().length;
    return { known, inMemory, bytes: this.bytes(), spilled: this.#memory.spilled };
  }

  /** A change under its key: done once, answered again as often as it is asked for. */
  async #once(call: SessionCall, change: () => Promise<Document>): Promise<Document> {
    const { key, session = "" } = call;
    if (key === undefined) return await change();
    const pending = this.#residents.get(session)?.pendingKeys.find((each) => each.key === key.key);
    const before = pending ?? await this.#store.remembered(session, key.key);
    if (!before) return await change();
    const { answer, version } = recalled(before, key);
    // what was made under this key was deleted since: the key is free again
    if (call.call === "create" && !this.#residents.head(answer.id as string)) return await change();
    const isStep = call.call === "steps" && this.#residents.head(session) !== undefined;
    if (isStep) expectRepeatable(this.#residents.head(session)!, answer);
    const again = isStep
      ? await updatesAgain(
        this.#context,
        await this.#memory.find({ ...call, revision: undefined }),
        call,
        version!,
      )
      : {};
    return { ...again, ...answer, replayed: true };
  }

  async #move(call: SessionCall): Promise<Document> {
    const live = await this.#memory.find(call);
    const answer = await move(this.#context, live, call);
    this.#memory.grew(live);
    return answer;
  }

  /** A checkpoint is announced: what can be refused is refused before it is sent. */
  #receive({ session: id = "", request }: SessionCall): Document {
    const { head, bytes } = announced(request);
    expectSameConfiguration(this.#residents, id, head);
    this.#residents.expectToFit(bytes);
    return this.#transfers.receive(head);
  }

  async #restore(call: SessionCall): Promise<Document> {
    const received = this.#transfers.received(call.request.ticket as string);
    const { answer, live } = await restore(
      this.#context,
      call,
      received,
      () => this.#memory.find(call),
    );
    this.#memory.grew(live);
    return answer;
  }

  async #delete(call: SessionCall): Promise<Document> {
    const { id } = await this.#memory.find(call);
    const answer: Document = { id, deleted: true };
    await this.#end(id, call, answer);
    return answer;
  }

  async #end(id: string, call?: SessionCall, answer: Document = {}): Promise<void> {
    await this.#journal.end(id, call ? keysOf(call, answer) : []);
    this.#residents.forget(id);
    this.#context.emit(id, { event: "deleted" });
  }
}

/** @throws CurvdError `conflict` for a step of SOAP that is not the last: its update was of a state that is gone. */
function expectRepeatable({ identity, state }: Head, { revision }: Document): void {
  if (identity.method !== "soap" || revision === state.revision) return;
  throw new CurvdError(
    "conflict",
    `This step was taken, as revision ${revision}: its update is gone, as SOAP keeps that of its last step alone`,
    { value: revision, limit: state.revision, suggestion: "go on from the session's revision" },
  );
}
