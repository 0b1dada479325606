/**
 * The sessions of a server: found, moved one change at a time, kept, brought back.
 *
 * A change is one transaction of the store and one of the device. Its log entry is written while it is computed, and it is
 * answered when both are done; if either fails neither is there. Calls come one after another (worker.ts), so that nothing
 * here is raced.
 *
 * @module
 */
import { keep } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import {
  bytesOf,
  type ChangeKey,
  checkpointOf,
  configurationOf,
  differencesOf,
  type Head,
  headOf,
  type Identity,
  leastBytesOf,
  newState,
  type SessionState,
  stateOf,
  type Store,
  tensorsOf,
} from "@/sessions/mod.ts";
import {
  decodeDocument,
  type Document,
  encodeDocument,
  PLAIN_OUTPUT,
  SessionId,
  type SessionRequest,
} from "@/wire/mod.ts";
import { factorsAnswer, inspection, preconditionerAnswer, summary } from "./session_answers.ts";
import { damaged, hostTransition, mebibytes, plain, withLastUpdates } from "./session_changes.ts";
import { type Entry, entryOf, entryParts, LAST_UPDATE } from "./session_log.ts";
import { prepareInputs, type RequestWords, type SessionFields } from "./session_layers.ts";
import type { SessionCall, SessionEvent } from "./session_protocol.ts";
import { Refresher } from "./session_refresher.ts";
import {
  refreshWork,
  replayWork,
  statisticsWork,
  type StepAnswer,
  type Stepped,
  stepWork,
  type UpdateParameters,
  updatesWork,
} from "./session_steps.ts";
import { disposeBut, transact, type Transacted } from "./session_transaction.ts";

/** A session in memory. */
export interface Live {
  readonly id: string;
  readonly identity: Identity;
  state: SessionState;
  /** The revision that a crash would leave. */
  durableRevision: number;
  /** Keys of changes that are not kept yet (durability refresh). */
  pendingKeys: ChangeKey[];
  /** Whether changes come under keys: then the last preconditioner is kept for answers given again. */
  usesKeys: boolean;
  /** A refresh under way beside the steps. */
  refresher: Refresher | null;
  /** What replaying the log since the last snapshot would take. */
  log: { bytes: number; milliseconds: number };
  touchedAt: number;
}

/** Recovery is bounded by these: a log beyond either is replaced by a snapshot. */
const LOG_LIMIT_BYTES = 256 * 2 ** 20;
const LOG_LIMIT_MS = 5000;

export interface HostOptions {
  readonly engine: Engine;
  readonly store: Store;
  /** All sessions in memory together may take this much of the device. */
  readonly budgetBytes: number;
  /** Told of what happens to sessions. */
  readonly emit: (session: string, event: SessionEvent) => void;
}

export class SessionHost {
  readonly #engine: Engine;
  readonly #store: Store;
  readonly #budgetBytes: number;
  readonly #emit: HostOptions["emit"];
  /** Every session there is; those not in memory by their head alone. */
  readonly #heads = new Map<string, { head: Head; touchedAt: number }>();
  /** In memory, the least recently used first. */
  readonly #live = new Map<string, Live>();

  constructor({ engine, store, budgetBytes, emit }: HostOptions) {
    this.#engine = engine;
    this.#store = store;
    this.#budgetBytes = budgetBytes;
    this.#emit = emit;
  }

  /** Reads what sessions there are; none is brought back before it is asked for. */
  async start(): Promise<void> {
    for (const { id, head } of await this.#store.sessions()) {
      this.#heads.set(id, { head: JSON.parse(head), touchedAt: Date.now() });
    }
  }

  /** Answers a call. @throws CurvdError as api.md says. */
  async answer(call: SessionCall): Promise<Document> {
    switch (call.call) {
      case "list":
        return { sessions: [...this.#heads].map(([id, { head }]) => summary(id, head)) };
      case "create":
        return await this.#once(call, () => this.#create(call));
      case "delete":
        return await this.#once(call, () => this.#delete(call));
      case "restore":
        return await this.#once(call, () => this.#restore(call));
      case "inspect":
        return inspection(await this.#find(call));
      case "updates":
        return await this.#updates(await this.#find(call), call);
      case "factors":
        return await factorsAnswer(this.#engine, await this.#find(call));
      case "preconditioner":
        return await preconditionerAnswer(this.#engine, await this.#find(call), call.request);
      case "checkpoint": {
        const { identity, state } = await this.#find(call);
        return await checkpointOf(this.#engine, identity, state);
      }
      default:
        return await this.#once(call, async () => this.#move(await this.#find(call), call));
    }
  }

  /** Work that may wait for calls: a slice of a refresh, a snapshot in place of a long log. Null where there is none. */
  debt(): (() => Promise<void>) | null {
    for (const live of this.#live.values()) {
      if (live.refresher) return () => this.#slice(live);
      const { bytes, milliseconds } = live.log;
      const limit = Math.max(LOG_LIMIT_BYTES, 2 * bytesOf(live.state));
      if (bytes > limit || milliseconds > LOG_LIMIT_MS) return () => this.#compact(live);
    }
    return null;
  }

  /** Ends sessions that were not touched for as long as they said. */
  async expire(now = Date.now()): Promise<void> {
    for (const [id, { head, touchedAt }] of [...this.#heads]) {
      const { idle_seconds: idle } = head.identity;
      const touched = Math.max(touchedAt, this.#live.get(id)?.touchedAt ?? 0);
      if (idle !== null && now - touched > 1000 * idle) await this.#end(id, []);
    }
  }

  /** Keeps what is only in memory, and lets go of the tensors. */
  async close(): Promise<void> {
    for (const live of [...this.#live.values()]) await this.#spill(live);
    await this.#store.close();
  }

  /** Lets go of the tensors and writes nothing more: what a lost device does. */
  abandon(): void {
    for (const live of [...this.#live.values()]) this.#drop(live);
  }

  /** Bytes of all sessions in memory. */
  bytes(): number {
    return [...this.#live.values()].reduce((sum, { state }) => sum + bytesOf(state), 0);
  }

  /** A change under its key: done once, answered again as often as it is asked for. */
  async #once(call: SessionCall, change: () => Promise<Document>): Promise<Document> {
    const { key, session = "" } = call;
    if (key === undefined) return await change();
    const before = this.#live.get(session)?.pendingKeys.find((each) => each.key === key.key) ??
      await this.#store.remembered(session, key.key);
    if (!before) return await change();
    if (before.hash !== key.hash) {
      throw new CurvdError("invalid-request", "This Idempotency-Key was used for another request", {
        value: key.key,
        suggestion: "a new key for a new request",
      });
    }
    const { answer, version } = JSON.parse(before.answer) as { answer: Document; version?: number };
    const again = call.call === "steps" && this.#heads.has(session)
      ? await this.#updatesAgain(await this.#find({ ...call, revision: undefined }), call, version!)
      : {};
    return { ...again, ...answer, replayed: true };
  }

  /** The session of a call, brought back if it is not in memory. */
  async #find({ session: id = "", revision }: SessionCall): Promise<Live> {
    if (!this.#heads.has(id)) {
      throw new CurvdError("not-found", `There is no session "${id}"`, { value: id });
    }
    const live = this.#live.get(id) ?? await this.#bringBack(id);
    this.#live.delete(id);
    this.#live.set(id, live); // now the most recently used
    live.touchedAt = Date.now();
    if (revision !== undefined && revision !== live.state.revision) {
      throw new CurvdError(
        "precondition-failed",
        `Session "${id}" is at revision ${live.state.revision}, not ${revision}`,
        { value: revision, limit: live.state.revision },
      );
    }
    return live;
  }

  async #create(call: SessionCall): Promise<Document> {
    const request = call.request as unknown as SessionRequest;
    const id = request.id ?? crypto.randomUUID();
    if (this.#heads.has(id)) {
      throw new CurvdError("conflict", `There is a session "${id}" already`, {
        value: id,
        suggestion: "another id, or none",
      });
    }
    const { identity, settings, damping } = configurationOf(request);
    this.#expectToFit(leastBytesOf(identity));
    const state = newState(identity.layers, settings, damping);
    const live = newLive(id, identity, state);
    const answer = inspection(live);
    await this.#snapshot(live, state, this.#keysOf(call, answer));
    this.#live.set(id, live);
    return answer;
  }

  async #restore(call: SessionCall): Promise<Document> {
    const id = SessionId.parse(call.session);
    const { identity, state } = stateOf(call.request);
    for (const tensor of tensorsOf(state)) keep(tensor);
    try {
      const there = this.#heads.get(id);
      const differences = there ? differencesOf(there.head.identity, identity) : [];
      if (differences.length > 0) {
        throw new CurvdError(
          "conflict",
          `The checkpoint is of another configuration than session "${id}": ${
            differences.join(", ")
          }`,
          { value: differences, suggestion: "another id" },
        );
      }
      const before = there ? await this.#find(call) : null;
      this.#expectToFit(bytesOf(state));
      const revision = Math.max(state.revision, (before?.state.revision ?? -1) + 1);
      const next = { ...state, revision };
      const live = newLive(id, identity, next);
      const answer = inspection(live);
      await this.#snapshot(live, next, this.#keysOf(call, answer));
      if (before) disposeBut(before.state, null);
      before?.refresher?.dispose();
      this.#live.set(id, live);
      await this.#makeRoom(live);
      return answer;
    } catch (error) {
      disposeBut(state, null);
      throw error;
    }
  }

  async #delete(call: SessionCall): Promise<Document> {
    const { id } = await this.#find(call);
    const answer: Document = { id, deleted: true };
    await this.#end(id, this.#keysOf(call, answer));
    return answer;
  }

  async #end(id: string, keys: ChangeKey[]): Promise<void> {
    await this.#store.commit({ session: id, head: null, keys });
    const live = this.#live.get(id);
    if (live) this.#drop(live);
    this.#heads.delete(id);
    this.#emit(id, { event: "deleted" });
  }

  /** Statistics, a refresh, a step, a report or a patch. */
  async #move(live: Live, call: SessionCall): Promise<Document> {
    if (call.key) live.usesKeys = true;
    const mayDefer = live.state.settings.refresh.mode === "async";
    const entry: Entry = { call: call.call as Entry["call"], request: call.request, mayDefer };
    const revision = live.state.revision + 1;
    const isLogged = live.identity.durability === "step";
    // δ₀ is a result: such a step is written when it is known
    const isEarly = isLogged && call.request.step_size === undefined;
    let bytes = 0;
    const stage = (of: Entry) => {
      const parts = entryParts(of, live.identity);
      bytes = parts.reduce((sum, part) => sum + part.length, 0);
      this.#store.stage(live.id, "entry", revision, parts);
    };
    if (isEarly) stage(entry);
    let made: Transacted<StepAnswer>;
    try {
      made = await this.#transition(live, entry, false);
    } catch (error) {
      if (isEarly) this.#store.discard();
      throw error;
    }
    const state: SessionState = { ...made.state, revision };
    try {
      if (isLogged && !isEarly) stage(await this.#withLastUpdates(entry, state));
      const counters = { id: live.id, version: state.version, revision, age: state.age };
      const answer: Document = { ...counters, ...plain(made.answer.fields) };
      const keys = this.#keysOf(call, answer, state.version);
      const begun = performance.now();
      if (isLogged || made.answer.isRefreshed || call.call === "patch") {
        const all = [...live.pendingKeys, ...keys];
        if (isLogged) {
          await this.#store.commit({
            session: live.id,
            head: this.#headText(live, state),
            keys: all,
          });
          live.log.bytes += bytes;
          live.log.milliseconds += made.timing.compute_ms + made.timing.read_ms;
        } else await this.#snapshot(live, state, all);
        live.durableRevision = revision;
        live.pendingKeys = [];
      } else live.pendingKeys.push(...keys);
      const store_ms = performance.now() - begun;
      this.#install(live, state);
      if (made.answer.isDue && !live.refresher && mayDefer) {
        live.refresher = Refresher.begin(this.#engine, live.identity, live.state);
      }
      await this.#makeRoom(live);
      this.#tell(live, call, made.answer);
      return {
        ...counters,
        ...made.answer.fields,
        durable_revision: live.durableRevision,
        timing: { wait_ms: 0, ...made.timing, store_ms, total_ms: 0 },
        warnings: [],
      };
    } catch (error) {
      disposeBut(state, live.state);
      throw error;
    }
  }

  /** What an entry does to a session, on the device. */
  #transition(live: Live, entry: Entry, isReplay: boolean): Promise<Transacted<StepAnswer>> {
    const { identity, state } = live;
    const { call, request } = entry;
    switch (call) {
      case "patch":
      case "reports":
        return Promise.resolve(hostTransition(state, call, request));
      case "refresh":
        return transact(this.#engine, (linalg) => refreshWork(this.#stepped(live, entry), linalg));
      case "statistics": {
        const stepped = this.#stepped(live, entry);
        return transact(this.#engine, (linalg) => statisticsWork(stepped, linalg));
      }
      case "steps": {
        const stepped = this.#stepped(live, entry);
        const parameters = request as UpdateParameters;
        return transact(
          this.#engine,
          (linalg) =>
            isReplay ? replayWork(stepped, linalg) : stepWork(stepped, parameters, linalg),
        );
      }
      default:
        throw new CurvdError("internal", `${call} does not move session "${live.id}"`, {
          method: identity.method,
        });
    }
  }

  #stepped({ identity, state, usesKeys }: Live, { request, mayDefer }: Entry): Stepped {
    const layers = Object.fromEntries(
      Object.entries(request.layers ?? {}).map(([name, { [LAST_UPDATE]: _, ...fields }]) =>
        [name, fields as SessionFields] as const
      ),
    );
    const inputs = prepareInputs(identity, state, layers, request as RequestWords);
    return { identity, state, inputs, mayDefer, retains: usesKeys };
  }

  async #updates(live: Live, call: SessionCall): Promise<Document> {
    if (live.identity.method === "soap") {
      throw new CurvdError("unsupported", "SOAP's update is a step: it cannot be asked for alone", {
        value: "soap",
        suggestion: "steps",
      });
    }
    const entry: Entry = { call: "updates", request: call.request, mayDefer: true };
    const stepped = this.#stepped(live, entry);
    const { state, answer, timing } = await transact(
      this.#engine,
      (linalg) => updatesWork(stepped, call.request as UpdateParameters, linalg),
    );
    disposeBut(state, live.state);
    const { version, revision, age } = live.state;
    const { refreshed: _, ...fields } = answer.fields;
    return {
      id: live.id,
      version,
      revision,
      age,
      ...fields,
      timing: { wait_ms: 0, ...timing, total_ms: 0 },
      warnings: [],
    };
  }

  /** A step's updates once more: of the preconditioner that it had, where that is still there. */
  async #updatesAgain(live: Live, call: SessionCall, version: number): Promise<Document> {
    const { state } = live;
    const { retained } = state;
    const forms = retained?.version === version ? retained.forms : null;
    const then: SessionState = forms
      ? {
        ...state,
        layers: new Map([...state.layers].map(([name, layer]) => [
          name,
          { ...layer, forms: forms.get(name) ?? layer.forms },
        ])),
      }
      : state;
    const { step_size: _, ...request } = call.request;
    const entry: Entry = { call: "updates", request, mayDefer: true };
    const stepped = this.#stepped({ ...live, state: then }, entry);
    const { state: left, answer, timing } = await transact(
      this.#engine,
      (linalg) => updatesWork(stepped, request as UpdateParameters, linalg),
    );
    disposeBut(left, live.state);
    return { ...answer.fields, timing: { wait_ms: 0, ...timing, total_ms: 0 }, warnings: [] };
  }

  #install(live: Live, state: SessionState): void {
    disposeBut(live.state, state);
    live.state = state;
    this.#heads.set(live.id, { head: headOf(live.identity, state), touchedAt: Date.now() });
  }

  #drop(live: Live): void {
    live.refresher?.dispose();
    disposeBut(live.state, null);
    this.#live.delete(live.id);
  }

  /** Writes a session whole; its log begins anew. */
  async #snapshot(live: Live, state: SessionState, keys: readonly ChangeKey[]): Promise<void> {
    const document = await checkpointOf(this.#engine, live.identity, state);
    const parts = encodeDocument(document, "safetensors", PLAIN_OUTPUT);
    this.#store.stage(live.id, "snapshot", state.revision, parts);
    await this.#store.commit({ session: live.id, head: this.#headText(live, state), keys });
    live.log = { bytes: 0, milliseconds: 0 };
    live.durableRevision = state.revision;
    this.#heads.set(live.id, { head: headOf(live.identity, state), touchedAt: Date.now() });
  }

  async #compact(live: Live): Promise<void> {
    await this.#snapshot(live, live.state, live.pendingKeys);
    live.pendingKeys = [];
  }

  /** From the store: the last snapshot, and the log since, replayed. */
  async #bringBack(id: string): Promise<Live> {
    const stored = await this.#store.read(id);
    const [first, ...rest] = stored?.records ?? [];
    if (first?.kind !== "snapshot") throw damaged(id, "it has no snapshot");
    const { identity, state } = stateOf(decodeDocument(first.bytes, "safetensors"));
    for (const tensor of tensorsOf(state)) keep(tensor);
    const live = newLive(id, identity, state);
    try {
      const entries = rest.map(({ bytes, revision }) => ({ entry: entryOf(bytes), revision }));
      const begun = new Set(
        entries.flatMap(({ entry }) => entry.of === undefined ? [] : [entry.of]),
      );
      for (const { entry, revision } of entries) {
        await this.#replay(live, entry, revision);
        if (begun.has(live.state.revision) && entry.call !== "install") {
          live.refresher = Refresher.begin(this.#engine, identity, live.state);
        }
      }
      live.refresher?.dispose();
      live.refresher = null;
      const head: Head = JSON.parse(stored!.head);
      if (head.state.revision !== live.state.revision) {
        throw damaged(
          id,
          `its log ends at revision ${live.state.revision} of ${head.state.revision}`,
        );
      }
    } catch (error) {
      live.refresher?.dispose();
      disposeBut(live.state, null);
      throw error;
    }
    live.log.bytes = rest.reduce((sum, { bytes }) => sum + bytes.length, 0);
    live.durableRevision = live.state.revision;
    this.#live.set(id, live);
    await this.#makeRoom(live);
    return live;
  }

  async #replay(live: Live, entry: Entry, revision: number): Promise<void> {
    if (entry.call === "install") {
      if (!live.refresher) throw damaged(live.id, `nothing was begun at revision ${entry.of}`);
      await live.refresher.finish();
      this.#put(live, live.refresher.installed(live.state, live.usesKeys));
      live.refresher.dispose();
      live.refresher = null;
      return;
    }
    const made = await this.#transition(live, entry, true);
    const next = withLastUpdates({ ...made.state, revision }, entry);
    this.#put(live, next);
    live.log.milliseconds += made.timing.compute_ms + made.timing.read_ms;
  }

  #put(live: Live, state: SessionState): void {
    disposeBut(live.state, state);
    live.state = state;
  }

  /** One slice of a refresh beside the steps; the last installs it. */
  async #slice(live: Live): Promise<void> {
    const refresher = live.refresher!;
    let state = live.state;
    try {
      if (await refresher.advance()) return;
      state = refresher.installed(live.state, live.usesKeys);
      if (live.identity.durability === "step") {
        const { of } = refresher;
        const entry: Entry = { call: "install", request: {}, mayDefer: true, of };
        this.#store.stage(live.id, "entry", state.revision, entryParts(entry, live.identity));
        await this.#store.commit({ session: live.id, head: this.#headText(live, state) });
      } else {
        await this.#snapshot(live, state, live.pendingKeys);
        live.pendingKeys = [];
      }
      this.#install(live, state);
      this.#tell(live, null, { fields: {}, isRefreshed: true, isDue: false });
    } catch (error) {
      disposeBut(state, live.state);
      console.error(`The refresh of session "${live.id}" failed:`, error);
      this.#emit(live.id, {
        event: "refresh",
        failed: error instanceof Error ? error.message : "",
      });
    }
    refresher.dispose();
    live.refresher = null;
  }

  /** Lets the least recently used sessions go until the rest fits. */
  async #makeRoom(current: Live): Promise<void> {
    for (const live of [...this.#live.values()]) {
      if (this.bytes() <= this.#budgetBytes) return;
      if (live !== current && !live.refresher) await this.#spill(live);
    }
  }

  /** A session leaves memory; what is not in the store goes there first. */
  async #spill(live: Live): Promise<void> {
    if (live.durableRevision < live.state.revision) await this.#compact(live);
    this.#drop(live);
  }

  #expectToFit(bytes: number): void {
    if (bytes <= this.#budgetBytes) return;
    throw new CurvdError(
      "too-large-to-fit",
      `The session needs ${mebibytes(bytes)} MiB, all sessions may have ${
        mebibytes(this.#budgetBytes)
      }`,
      { value: bytes, limit: this.#budgetBytes, suggestion: "a larger CURVD_MEMORY_MB" },
    );
  }

  #headText({ identity }: Live, state: SessionState): string {
    return JSON.stringify(headOf(identity, state));
  }

  #keysOf({ key, session = "" }: SessionCall, answer: Document, version?: number): ChangeKey[] {
    if (!key) return [];
    return [{ ...key, scope: session, answer: JSON.stringify({ answer, version }) }];
  }

  #tell({ id, state }: Live, call: SessionCall | null, { isRefreshed, fields }: StepAnswer): void {
    const { version, revision, age, damping } = state;
    const { inner_product, kl_clip_factor } = fields;
    if (isRefreshed) {
      const layers = Object.fromEntries(
        [...state.layers].map(([name, { diagnostics }]) => [name, diagnostics]),
      );
      this.#emit(id, { event: "refresh", version, revision, damping, layers });
    }
    if (call?.call === "steps") {
      this.#emit(id, {
        event: "step",
        version,
        revision,
        age,
        damping,
        inner_product,
        kl_clip_factor,
      });
    }
  }

  /** The entry of a step with the δ₀ it left. */
  async #withLastUpdates(entry: Entry, { layers }: SessionState): Promise<Entry> {
    const moved = [...layers].filter(([, { previous }]) => previous.update);
    const arrays = await this.#engine.read(moved.map(([, { previous }]) => previous.update));
    const fields = Object.fromEntries(moved.map(([name, { previous }], i) => [name, {
      ...entry.request.layers![name],
      [LAST_UPDATE]: { dtype: "F32", shape: previous.update.shape, data: arrays[i] },
    }]));
    return {
      ...entry,
      request: { ...entry.request, layers: { ...entry.request.layers, ...fields } },
    };
  }
}

function newLive(id: string, identity: Identity, state: SessionState): Live {
  return {
    id,
    identity,
    state,
    durableRevision: state.revision,
    pendingKeys: [],
    usesKeys: false,
    refresher: null,
    log: { bytes: 0, milliseconds: 0 },
    touchedAt: Date.now(),
  };
}
