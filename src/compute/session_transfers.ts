/**
 * Sessions on their way out to a client or in from one, a piece at a time.
 *
 * A transfer is known by a ticket until it ends. It holds the tensors of one session on the device, and on the host one piece:
 * a file of gigabytes passes through megabytes.
 *
 * @module
 */
import { dispose, keep, type Tensor } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import { type Head, headIn, type SessionState, Snapshot, stateOf } from "@/sessions/mod.ts";
import { type Document, splitName, type WireTensor } from "@/wire/mod.ts";
import { expectFinite, upload } from "./ingest.ts";
import type { Live } from "./session_live.ts";
import type { Turn } from "./turns.ts";

/** A transfer that nobody asks for any more is ended after this. */
const FORGOTTEN_MS = 10 * 60 * 1000;

interface Incoming {
  readonly head: Head;
  readonly tensors: Map<string, Tensor>;
}

/** What a client says that it sends. */
export interface Announcement {
  readonly head: Head;
  /** Of all tensors, as float32. */
  readonly bytes: number;
}

export class Transfers {
  readonly #outgoing = new Map<string, Snapshot>();
  readonly #incoming = new Map<string, Incoming>();
  /** When each was last asked for, by the clock. */
  readonly #touchedAt = new Map<string, number>();

  constructor(private readonly engine: Engine, private readonly device: Turn) {}

  /** Begins to send a session as it is now. @returns its ticket, and the bytes of its file. */
  send({ identity, state }: Live): Document {
    const ticket = this.#ticket();
    const snapshot = new Snapshot(identity, state);
    this.#outgoing.set(ticket, snapshot);
    return { ticket, bytes: snapshot.bytes };
  }

  /** The next piece of a session that is sent, as a tensor of bytes a part; none after the last. */
  async next(ticket: string): Promise<Document> {
    const snapshot = expectThere(this.#outgoing.get(ticket));
    this.#touchedAt.set(ticket, Date.now());
    const parts = await this.device(() => snapshot.next(this.engine));
    return Object.fromEntries((parts ?? []).map((part, i) => [`part ${i}`, asTensor(part)]));
  }

  /** Begins to receive a session. @returns its ticket. */
  receive(head: Head): Document {
    const ticket = this.#ticket();
    this.#incoming.set(ticket, { head, tensors: new Map() });
    return { ticket };
  }

  /** Takes a tensor of it. @throws CurvdError `not-finite`. */
  async take(request: Document): Promise<Document> {
    const { ticket, name, tensor } = request as {
      ticket: string;
      name: string;
      tensor: WireTensor;
    };
    const { tensors } = expectThere(this.#incoming.get(ticket));
    this.#touchedAt.set(ticket, Date.now());
    const { layer = "", field } = splitName(name);
    expectFinite(tensor, { layer, tensor: field });
    tensors.set(name, await this.device(() => Promise.resolve(keep(upload(tensor)))));
    return {};
  }

  /** The session that was received, its tensors the caller's. @throws CurvdError `invalid-request` where it is not whole. */
  received(ticket: string): { head: Head; state: SessionState } {
    const { head, tensors } = expectThere(this.#incoming.get(ticket));
    const state = stateOf(head, tensors);
    this.#incoming.delete(ticket);
    return { head, state };
  }

  /** Ends a transfer that is done or given up. */
  end(ticket: string): void {
    this.#outgoing.get(ticket)?.dispose();
    dispose([...this.#incoming.get(ticket)?.tensors.values() ?? []]);
    this.#outgoing.delete(ticket);
    this.#incoming.delete(ticket);
    this.#touchedAt.delete(ticket);
  }

  #ticket(): string {
    const ticket = crypto.randomUUID();
    this.#touchedAt.set(ticket, Date.now());
    return ticket;
  }

  /** Ends what nobody asks for any more: clients may leave without a word. @param now by the clock, ms. */
  expire(now: number): void {
    for (const [ticket, at] of this.#touchedAt) if (now - at > FORGOTTEN_MS) this.end(ticket);
  }

  endAll(): void {
    for (const ticket of [...this.#outgoing.keys(), ...this.#incoming.keys()]) this.end(ticket);
  }
}

/** What a client announces, of its file's metadata. @throws CurvdError as {@linkcode headIn}. */
export function announced(request: Document): Announcement {
  const { metadata, bytes } = request as unknown as {
    metadata: Record<string, string>;
    bytes: number;
  };
  return { head: headIn(new Map(Object.entries(metadata))), bytes };
}

/** Bytes as a tensor, in which form they are given to another thread rather than copied. */
function asTensor({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): WireTensor {
  return {
    dtype: "I32",
    shape: [length / 4],
    data: new Int32Array(buffer, byteOffset, length / 4),
  };
}

function expectThere<T>(transfer: T | undefined): T {
  if (transfer !== undefined) return transfer;
  throw new CurvdError("device-lost", "The transfer was cut off: the device was opened anew");
}
