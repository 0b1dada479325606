/**
 * The Fortran entry points used, as Deno's FFI wants them declared.
 *
 * Every argument is a pointer; the hidden lengths of one-letter strings may be left out on every ABI we meet. LAPACK calls
 * are nonblocking: they run on a thread of Deno's pool, and their arrays must stay alive and untouched until the
 * promise resolves. Products are blocking, because a TensorFlow.js kernel must answer at once, but for those that are steps
 * of a factorization (`…_later`); blocking is also (`…_now`) what takes less time than the way to the pool and back.
 *
 * @module
 */
type Arguments<N extends number, All extends "buffer"[] = []> = All["length"] extends N ? All
  : Arguments<N, [...All, "buffer"]>;

function pointers<N extends number>(count: N): Arguments<N> {
  return Array(count).fill("buffer") as Arguments<N>;
}

function blocking<N extends number>(count: N) {
  return { parameters: pointers(count), result: "void" } as const;
}

function nonblocking<N extends number>(count: N) {
  return { ...blocking(count), nonblocking: true } as const;
}

export const SYMBOLS = {
  sgemm_: blocking(13),
  sgemm_later: { ...nonblocking(13), name: "sgemm_" },
  dgemm_: blocking(13),
  ssyrk_: blocking(10),
  spotrf_: nonblocking(5),
  spotrf_now: { ...blocking(5), name: "spotrf_" },
  dpotrf_: nonblocking(5),
  dpotri_: nonblocking(5),
  strsm_: nonblocking(11),
  strsm_now: { ...blocking(11), name: "strsm_" },
  strmm_: nonblocking(11),
  slauum_: nonblocking(5),
  slauum_now: { ...blocking(5), name: "slauum_" },
  dtrtri_: nonblocking(6),
  ssyevd_: nonblocking(11),
  ssyevd_now: { ...blocking(11), name: "ssyevd_" },
  dsyevd_: nonblocking(11),
  ssytrd_: nonblocking(10),
  sstedc_: nonblocking(11),
  // OpenBLAS's own: absent elsewhere.
  somatcopy_: { ...blocking(9), optional: true },
  openblas_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
  openblas_get_num_threads: { parameters: [], result: "i32", optional: true },
  openblas_get_corename: { parameters: [], result: "pointer", optional: true },
  openblas_get_config: { parameters: [], result: "pointer", optional: true },
} as const;

export type BlasLibrary = Deno.DynamicLibrary<typeof SYMBOLS>;

/** A Fortran character. */
export function letter(value: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value.charCodeAt(0));
}

/** A Fortran integer (LP64). */
export function integer(value: number): Int32Array<ArrayBuffer> {
  return Int32Array.of(value);
}
