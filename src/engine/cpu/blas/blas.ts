/**
 * A BLAS and LAPACK called through FFI, in the words of row-major matrices.
 *
 * A row-major matrix is the transpose of a column-major one: symmetric matrices are the same in both, LAPACK's upper
 * triangle is our lower one, and eigenvectors, LAPACK's columns, are our rows.
 *
 * @module
 */
import type { EngineFacts } from "../../engine.ts";
import type { GramSize, ProductSize } from "../products.ts";
import { type BlasLibrary, integer, letter } from "./symbols.ts";
import { Scratch } from "./scratch.ts";
import { ThreadGate } from "./threads.ts";

/** A matrix in either precision; it decides which routine is called. */
export type Real = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/** Of a row-major matrix. */
export type Triangle = "lower" | "upper";

const UPPER = letter("U");
const LOWER = letter("L");
const PLAIN = letter("N");
const TRANSPOSED = letter("T");
const VECTORS = letter("V");
const NON_UNIT = letter("N");
const ROW_MAJOR = letter("R");

/** Sides up to this are inverted within 0.3 ms, so the event loop need not be spared. */
const SMALL = 128;

/** The same triangle, column-major. */
const OF_LAPACK = { lower: UPPER, upper: LOWER };

export class Blas {
  readonly facts: NonNullable<EngineFacts["blas"]>;
  /** `openblas` or `accelerate`. */
  readonly library: string;
  readonly #symbols: BlasLibrary["symbols"];
  readonly #gate: ThreadGate;
  readonly #scratch = new Scratch();

  constructor(
    library: BlasLibrary,
    { name, version, path, cores }: { name: string; version: string; path: string; cores: number },
  ) {
    this.#symbols = library.symbols;
    this.library = name;
    this.facts = { library: version, path, threads: cores };
    const { openblas_set_num_threads: setThreads } = library.symbols;
    this.#gate = new ThreadGate(cores, (count) => setThreads?.(count));
  }

  /**
   * Runs work on matrices of a side, with the number of threads that belongs to it: beside other work for a small one, alone
   * for a large one. All LAPACK calls and all products that must give the same bits every time are made in such work; it
   * must not wait for other work of this kind.
   */
  during<T>(side: number, work: () => Promise<T>): Promise<T> {
    return this.#gate.run(side, work);
  }

  /** `C = op(A) op(B)`, blocking. */
  gemm(
    c: Float32Array,
    a: Float32Array,
    b: Float32Array,
    size: ProductSize,
  ): void;
  gemm(c: Float64Array, a: Float64Array, b: Float64Array, size: ProductSize): void;
  gemm(
    c: Float32Array | Float64Array,
    a: Float32Array | Float64Array,
    b: Float32Array | Float64Array,
    { m, k, n, transposeA = false, transposeB = false }: ProductSize,
  ): void {
    const single = c instanceof Float32Array;
    const gemm = single ? this.#symbols.sgemm_ : this.#symbols.dgemm_;
    const [one, zero] = single ? [ONE_32, ZERO_32] : [ONE_64, ZERO_64];
    this.#gate.prepare(m * k * n);
    gemm( // Cᵀ = op(B)ᵀ op(A)ᵀ
      transposeB ? TRANSPOSED : PLAIN,
      transposeA ? TRANSPOSED : PLAIN,
      integer(n),
      integer(m),
      integer(k),
      one,
      own(b),
      integer(transposeB ? k : n),
      own(a),
      integer(transposeA ? m : k),
      zero,
      own(c),
      integer(n),
    );
  }

  /** The lower triangle of `C = scale · XᵀX`, blocking; above the diagonal `c` is left as it is. */
  syrk(c: Float32Array, x: Float32Array, { n, d, scale }: GramSize): void {
    this.#gate.prepare(n * d * d / 2);
    this.#symbols.ssyrk_(
      UPPER,
      PLAIN,
      integer(d),
      integer(n),
      Float32Array.of(scale),
      own(x),
      integer(d),
      ZERO_32,
      own(c),
      integer(d),
    );
  }

  /** `B = Aᵀ` of a square matrix; false where the library has no such routine. */
  transpose(b: Float32Array, a: Float32Array, d: number): boolean {
    const { somatcopy_: transpose } = this.#symbols;
    if (!transpose) return false;
    const side = integer(d);
    transpose(ROW_MAJOR, TRANSPOSED, side, side, ONE_32, own(a), side, own(b), side);
    return true;
  }

  /**
   * Factors in place: `A = L Lᵀ` into the lower triangle (`"lower"`), or `Lᵀ` into the upper (`"upper"`).
   * @returns 0, or the row, from 1, of the pivot that failed.
   */
  async cholesky(a: Real, d: number, triangle: Triangle): Promise<number> {
    const potrf = a instanceof Float32Array ? this.#symbols.spotrf_ : this.#symbols.dpotrf_;
    const side = integer(d), info = integer(0);
    await potrf(OF_LAPACK[triangle], side, a, side, info);
    return info[0];
  }

  /** `A⁻¹` in place, one triangle only. @returns as {@linkcode cholesky}. */
  async choleskyInverse(a: Real, d: number, triangle: Triangle): Promise<number> {
    if (a instanceof Float32Array && d <= SMALL) return this.#invertNow(a, d, triangle);
    const failed = await this.cholesky(a, d, triangle);
    if (failed !== 0) return failed;
    const potri = a instanceof Float32Array ? this.#symbols.spotri_ : this.#symbols.dpotri_;
    const side = integer(d), info = integer(0);
    await potri(OF_LAPACK[triangle], side, a, side, info);
    return info[0];
  }

  /** `L⁻¹` of `A = L Lᵀ` in place, lower triangle only. @returns as {@linkcode cholesky}. */
  async whiten(a: Real, d: number): Promise<number> {
    const failed = await this.cholesky(a, d, "lower");
    if (failed !== 0) return failed;
    const trtri = a instanceof Float32Array ? this.#symbols.strtri_ : this.#symbols.dtrtri_;
    const side = integer(d), info = integer(0);
    await trtri(UPPER, NON_UNIT, side, a, side, info);
    return info[0];
  }

  /**
   * Divide and conquer: `A` becomes the eigenvectors in its **rows**, in the order of the values.
   * @returns eigenvalues, ascending; null where it did not converge.
   */
  async eigh<R extends Real>(a: R, d: number): Promise<R | null> {
    const single = a instanceof Float32Array;
    const syevd = single ? this.#symbols.ssyevd_ : this.#symbols.dsyevd_;
    const values = single ? new Float32Array(d) : new Float64Array(d);
    const least = 1 + 6 * d + 2 * d * d; // its optimum differs only for tiny matrices
    const work = this.#scratch.take(single ? least : 2 * least);
    const integers = new Int32Array(3 + 5 * d);
    const side = integer(d), info = integer(0);
    await syevd(
      VECTORS,
      UPPER,
      side,
      a,
      side,
      values,
      single ? work : new Float64Array(work.buffer, 0, least),
      integer(least),
      integers,
      integer(integers.length),
      info,
    );
    this.#scratch.give(work);
    return info[0] === 0 ? values as R : null;
  }

  #invertNow(a: Float32Array<ArrayBuffer>, d: number, triangle: Triangle): number {
    const side = integer(d), info = integer(0);
    this.#symbols.spotrf_now(OF_LAPACK[triangle], side, a, side, info);
    if (info[0] === 0) this.#symbols.spotri_now(OF_LAPACK[triangle], side, a, side, info);
    return info[0];
  }
}

const ONE_32 = Float32Array.of(1), ZERO_32 = Float32Array.of(0);
const ONE_64 = Float64Array.of(1), ZERO_64 = Float64Array.of(0);

/** FFI takes arrays over an `ArrayBuffer`; nothing here shares memory between threads of JavaScript. */
function own<T extends Float32Array | Float64Array>(array: T): T & { buffer: ArrayBuffer } {
  return array as T & { buffer: ArrayBuffer };
}
