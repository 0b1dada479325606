/**
 * The entry points used, as Deno's FFI wants them declared.
 *
 * Products are CBLAS's, which take numbers as numbers: a call costs 0.2 µs where thirteen pointers cost 2.6. LAPACK is Fortran:
 * every argument is a pointer, and the hidden lengths of one-letter strings may be left out on every ABI we meet. LAPACK calls are
 * nonblocking: they run on a thread of Deno's pool, and their arrays must stay alive and untouched until the promise
 * resolves. Products are blocking, because a TensorFlow.js kernel must answer at once, but for those that are steps of a
 * factorization (`…_later`); blocking is also (`…_now`) what takes less time than the way to the pool and back.
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

const gemmOf = <T extends "f32" | "f64">(real: T) =>
  [
    ...["i32", "i32", "i32", "i32", "i32", "i32"] as const, // order, transposes, m, n, k
    real,
    ...["buffer", "i32", "buffer", "i32"] as const,
    real,
    ...["buffer", "i32"] as const,
  ] as const;

/** order, triangle, transpose, n, k, α, A, β, C */
const SYRK = [
  "i32",
  "i32",
  "i32",
  "i32",
  "i32",
  "f32",
  "buffer",
  "i32",
  "f32",
  "buffer",
  "i32",
] as const;

/** order, side, triangle, transpose, unit, m, n, α, A, B */
const TRIANGULAR = [
  ...["i32", "i32", "i32", "i32", "i32", "i32", "i32"] as const,
  "f32",
  ...["buffer", "i32", "buffer", "i32"] as const,
] as const;

export const SYMBOLS = {
  cblas_sgemm: { parameters: gemmOf("f32"), result: "void" },
  sgemm_later: {
    parameters: gemmOf("f32"),
    result: "void",
    name: "cblas_sgemm",
    nonblocking: true,
  },
  cblas_dgemm: { parameters: gemmOf("f64"), result: "void" },
  cblas_ssyrk: { parameters: SYRK, result: "void" },
  spotrf_: nonblocking(5),
  spotrf_now: { ...blocking(5), name: "spotrf_" },
  dpotrf_: nonblocking(5),
  dpotri_: nonblocking(5),
  strsm_now: { parameters: TRIANGULAR, result: "void", name: "cblas_strsm" },
  strsm_later: { parameters: TRIANGULAR, result: "void", name: "cblas_strsm", nonblocking: true },
  strmm_now: { parameters: TRIANGULAR, result: "void", name: "cblas_strmm" },
  strmm_later: { parameters: TRIANGULAR, result: "void", name: "cblas_strmm", nonblocking: true },
  slauum_: nonblocking(5),
  slauum_now: { ...blocking(5), name: "slauum_" },
  spotri_: nonblocking(5),
  strtri_: nonblocking(6),
  ssyevd_: nonblocking(11),
  ssyevd_now: { ...blocking(11), name: "ssyevd_" },
  dsyevd_: nonblocking(11),
  ssytrd_: nonblocking(10),
  ssytrd_now: { ...blocking(10), name: "ssytrd_" },
  sstedc_: nonblocking(11),
  sstedc_now: { ...blocking(11), name: "sstedc_" },
  // OpenBLAS's own: absent elsewhere.
  somatcopy_: { ...blocking(9), optional: true },
  openblas_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
  openblas_get_num_threads: { parameters: [], result: "i32", optional: true },
  openblas_get_corename: { parameters: [], result: "pointer", optional: true },
  openblas_get_config: { parameters: [], result: "pointer", optional: true },
} as const;

export type BlasLibrary = Deno.DynamicLibrary<typeof SYMBOLS>;

/** What CBLAS calls its choices. */
export const CBLAS = {
  rowMajor: 101,
  columnMajor: 102,
  plain: 111,
  transposed: 112,
  upper: 121,
  lower: 122,
  nonUnit: 131,
  left: 141,
  right: 142,
} as const;

/** A Fortran character. */
export function letter(value: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value.charCodeAt(0));
}

/** A Fortran integer (LP64). */
export function integer(value: number): Int32Array<ArrayBuffer> {
  return Int32Array.of(value);
}
