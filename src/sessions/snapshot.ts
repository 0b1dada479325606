/**
 * A session as a file that is made in pieces: header first, then the tensors as they are read from the device.
 *
 * It holds on to the tensors of a moment, copying nothing on the device, while the session goes on. The same bytes are the
 * store's snapshot and the checkpoint that HTTP gives: a safetensors file with tensors named `<layer>.average.A`,
 * `<layer>.preconditioner.Q_A` and so on, and everything else as JSON in its metadata.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { encodeHeader } from "@/wire/mod.ts";
import type { Identity } from "./configuration.ts";
import { headOf } from "./head.ts";
import type { Parts } from "./store.ts";
import { type SessionState, tensorGroups } from "./state.ts";

/** Tensors are read until there are so many bytes; one that is larger comes alone. */
const PIECE_BYTES = 16 * 2 ** 20;

export class Snapshot {
  /** Of the whole file. */
  readonly bytes: number;
  #header: Uint8Array<ArrayBuffer> | null;
  readonly #tensors: Tensor[];

  constructor(identity: Identity, state: SessionState) {
    const named = [...state.layers].flatMap(([name, layer]) =>
      Object.entries(tensorGroups(layer)).flatMap(([group, tensors]) =>
        Object.entries(tensors).map(([field, tensor]) =>
          [`${name}.${group}.${field}`, tensor] as const
        )
      )
    );
    const declared = named.map(([name, { shape, size }]) =>
      [name, { dtype: "F32", shape, byteLength: 4 * size }] as const
    );
    const document = JSON.stringify({ session: headOf(identity, state) });
    this.#header = encodeHeader({ document }, declared);
    this.bytes = this.#header.length + declared.reduce((sum, [, of]) => sum + of.byteLength, 0);
    this.#tensors = named.map(([, tensor]) => tensor.clone());
  }

  /** The next piece, or null after the last; it belongs to the caller. */
  async next(engine: Engine): Promise<Parts | null> {
    if (this.#header !== null) {
      const header = this.#header;
      this.#header = null;
      return [header];
    }
    if (this.#tensors.length === 0) return null;
    const piece: Tensor[] = [];
    let bytes = 0;
    do {
      const tensor = this.#tensors.shift()!;
      piece.push(tensor);
      bytes += 4 * tensor.size;
    } while (this.#tensors.length > 0 && bytes + 4 * this.#tensors[0].size <= PIECE_BYTES);
    try {
      return (await engine.read(piece)).map(({ buffer }) => new Uint8Array(buffer));
    } finally {
      dispose(piece);
    }
  }

  /** Lets go of what was not read. */
  dispose(): void {
    dispose(this.#tensors.splice(0));
  }
}
