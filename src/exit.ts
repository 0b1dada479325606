/**
 * The end of the process, without the destructors of native libraries.
 *
 * OpenBLAS's waits for its threads, and was seen waiting for good for one that had missed its wake-up (0.3.21 on glibc 2.36,
 * after minutes of load). There is nothing that any of them would have to save.
 *
 * @module
 */

const SYMBOLS = {
  _exit: { type: "pointer" },
  __cxa_atexit: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Loaded beforehand: at the end another thread may hang in a destructor, and with it whoever loads a library. */
const libc = openLibc();

/** Ends the process; on Linux, where FFI is permitted, as soon as Deno is done with it. */
export function exit(code: number): never {
  // what was registered last is called first
  libc?.__cxa_atexit(libc._exit, Deno.UnsafePointer.create(BigInt(code)), null);
  Deno.exit(code);
}

function openLibc() {
  if (Deno.build.os !== "linux") return null;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return null; // nor is there a BLAS
  try {
    return Deno.dlopen("libc.so.6", SYMBOLS).symbols;
  } catch {
    return null; // another libc
  }
}
