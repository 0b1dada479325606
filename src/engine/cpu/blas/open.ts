/**
 * Finds and opens a BLAS.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { Blas } from "./blas.ts";
import { preferWiderVectors } from "./core_type.ts";
import { keepLoaded } from "./keep_loaded.ts";
import { type Candidate, candidateAt, candidates } from "./libraries.ts";
import { type BlasLibrary, SYMBOLS } from "./symbols.ts";

/** Opened libraries: one a process, never closed, because their threads outlive every engine. */
const opened = new Map<string, Blas>();

/**
 * Opens the BLAS asked for.
 *
 * @param setting `auto` (the first found), `off`, or a library's path.
 * @returns null where it is off, none is found, or FFI is not permitted.
 * @throws CurvdError `unsupported` where the library named by a path cannot be opened.
 */
export function openBlas(setting: string): Blas | null {
  if (setting === "off") return null;
  if (setting !== "auto") return openNamed(setting);
  for (const candidate of candidates(Deno.build.os)) {
    if (!mayUse(candidate.path)) continue;
    try {
      return open(candidate);
    } catch {
      // Not here, or no LAPACK in it: the next one, at last the built-in.
    }
  }
  return null;
}

function openNamed(path: string): Blas {
  try {
    return open(candidateAt(path));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CurvdError("unsupported", `Cannot open the BLAS "${path}": ${reason}`, {
      value: path,
      suggestion: 'name a shared library with LAPACK inside, or use "auto" or "off"',
    }, { cause });
  }
}

function open({ library: name, path }: Candidate): Blas {
  const known = opened.get(path);
  if (known) return known;
  let library: BlasLibrary = Deno.dlopen(path, SYMBOLS);
  if (preferWiderVectors(textOf(library.symbols.openblas_get_corename) ?? "")) {
    library.close();
    library = Deno.dlopen(path, SYMBOLS);
  }
  keepLoaded(path);
  const blas = new Blas(library, {
    name,
    version: textOf(library.symbols.openblas_get_config) ?? name,
    path,
    cores: coresOf(library),
    isHelper: false,
  });
  opened.set(path, blas);
  return blas;
}

/**
 * The library that another thread of this process has opened, for work that this one does for it.
 *
 * @param cores as the other has them: on them depends how work is cut, and so its bits.
 */
export function openBlasAsHelper({ library: name, path, cores }: BlasOfHelper): Blas {
  return new Blas(Deno.dlopen(path, SYMBOLS), { name, version: name, path, cores, isHelper: true });
}

/** How a helper finds the library. */
export interface BlasOfHelper {
  readonly library: string;
  readonly path: string;
  readonly cores: number;
}

/** What a function of the library without arguments says; null where there is none, or memory may not be read. */
function textOf(call: (() => Deno.PointerValue) | null): string | null {
  const text = call?.() ?? null;
  // Reading at a pointer needs the permission for all of FFI; one that names the library is enough for the rest.
  if (text === null || !mayUse()) return null;
  return Deno.UnsafePointerView.getCString(text);
}

/** Whether FFI is permitted, for a library or for all; asking must not make Deno prompt. */
function mayUse(path?: string): boolean {
  return Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

/** The library's own count (it honours `OPENBLAS_NUM_THREADS`), but no more than this process may use. */
function coresOf({ symbols }: BlasLibrary): number {
  const available = navigator.hardwareConcurrency;
  return Math.max(1, Math.min(symbols.openblas_get_num_threads?.() ?? available, available));
}
