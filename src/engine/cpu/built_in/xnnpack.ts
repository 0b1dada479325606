/**
 * XNNPACK's float32 matrix product, from the WebAssembly of TensorFlow.js's wasm backend.
 *
 * Only the module is used, not the backend: its bytes come with the npm package, so it needs no permission, no file and no
 * network at run time. It has a memory of its own; operands are copied in and the product out.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import bytes from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm" with {
  type: "bytes",
};

/** What is called of the module's exports. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  __wasm_call_ctors(): void;
  init(): void;
  malloc(bytes: number): number;
  free(pointer: number): void;
  register_tensor(id: number, bytes: number, pointer: number): void;
  dispose_data(id: number): void;
  /** Shapes are pointers to int32 lists and their length. */
  BatchMatMul(
    a: number,
    aShape: number,
    aRank: number,
    b: number,
    bShape: number,
    bRank: number,
    transposeA: number,
    transposeB: number,
    out: number,
  ): void;
}

/** Ids of the operands and the product: one product at a time. */
const A = 1, B = 2, C = 3;

const PAGE = 65_536;
/** 4 GB, all that 32-bit pointers reach. */
const MOST_PAGES = 65_536;

export class Xnnpack {
  readonly #wasm: Exports;
  /** Two shapes `[1, rows, columns]` of int32. */
  readonly #shapes: number;

  private constructor(wasm: Exports) {
    this.#wasm = wasm;
    wasm.__wasm_call_ctors();
    wasm.init();
    this.#shapes = wasm.malloc(24);
  }

  static async open(): Promise<Xnnpack> {
    const unused = () => {
      throw new Error("XNNPACK asked the system for something");
    };
    // The module owns the memory that its imports work on; they are called only once it is there.
    const memory = () => instance.exports.memory as WebAssembly.Memory;
    const instance: WebAssembly.Instance = await WebAssembly.instantiate(
      await WebAssembly.compile(bytes),
      {
        env: {
          abort: unused,
          emscripten_memcpy_big: (to: number, from: number, length: number) =>
            new Uint8Array(memory().buffer).copyWithin(to, from, from + length),
          emscripten_get_heap_max: () => MOST_PAGES * PAGE,
          emscripten_resize_heap: (size: number) => grow(memory(), size >>> 0),
        },
        wasi_snapshot_preview1: { fd_close: unused, fd_write: unused, fd_seek: unused },
      },
    );
    return new Xnnpack(instance.exports as unknown as Exports);
  }

  /**
   * `C = A B`.
   *
   * @param fill writes `A [m, k]` and `B [k, n]`, row-major, into the module's memory.
   * @param take is given `C [m, n]`, to be read before it returns.
   */
  multiply(
    { m, k, n }: { m: number; k: number; n: number },
    fill: (a: Float32Array, b: Float32Array) => void,
    take: (c: Float32Array) => void,
  ): void {
    const wasm = this.#wasm;
    const lengths = [m * k, k * n, m * n];
    const pointers: number[] = [];
    try {
      for (const length of lengths) pointers.push(allocated(wasm, 4 * length));
      // Views only now: allocating may have moved the memory.
      const [a, b] = pointers.map((at, i) => new Float32Array(wasm.memory.buffer, at, lengths[i]));
      fill(a, b);
      new Int32Array(wasm.memory.buffer, this.#shapes, 6).set([1, m, k, 1, k, n]);
      [A, B, C].forEach((id, i) => wasm.register_tensor(id, 4 * lengths[i], pointers[i]));
      wasm.BatchMatMul(A, this.#shapes, 3, B, this.#shapes + 12, 3, 0, 0, C);
      // Also drops the operator that was made for this B.
      [A, B, C].forEach((id) => wasm.dispose_data(id));
      take(new Float32Array(wasm.memory.buffer, pointers[2], lengths[2]));
    } finally {
      pointers.forEach((pointer) => wasm.free(pointer));
    }
  }
}

/** A block of the module's memory. @throws CurvdError `too-large-to-fit` where there is none. */
function allocated(wasm: Exports, bytes: number): number {
  const pointer = wasm.malloc(bytes) >>> 0; // above 2 GiB it comes as a negative number
  if (pointer > 0) return pointer;
  throw new CurvdError(
    "too-large-to-fit",
    `Cannot multiply matrices as WebAssembly has no ${bytes} bytes for them`,
    { value: bytes },
  );
}

/** Grows to at least `size` bytes; 1 where it could, as the module expects. */
function grow(memory: WebAssembly.Memory, size: number): number {
  const missing = Math.ceil((size - memory.buffer.byteLength) / PAGE);
  try {
    memory.grow(Math.max(0, missing));
    return 1;
  } catch {
    return 0;
  }
}
