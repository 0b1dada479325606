/**
 * Libraries that stay when the thread that opened them has gone.
 *
 * A Worker that ends closes its libraries, and the last to close one runs its destructors with the loader's lock held. OpenBLAS's
 * waits for threads of its own, at times for good (src/exit.ts): from then on no thread could load a library, and the process
 * could neither start another Worker nor end.
 *
 * @module
 */

/** `RTLD_LAZY | RTLD_NODELETE`, by operating system; Windows has no such mode. */
const MODES: Readonly<Record<string, number>> = { linux: 0x1001, darwin: 0x81 };

/** Where `dlopen` is: glibc before 2.34 has it in a library of its own. musl unloads nothing. */
const LOADERS = ["libc.so.6", "libdl.so.2", "/usr/lib/libSystem.B.dylib"];

/** Keeps a library that is loaded for as long as the process lasts; needs the permission for all of FFI. */
export function keepLoaded(path: string): void {
  const mode = MODES[Deno.build.os];
  if (mode === undefined) return;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return; // asking would have Deno prompt
  const name = new TextEncoder().encode(`${path}\0`);
  for (const loader of LOADERS) {
    try {
      const library = Deno.dlopen(loader, {
        dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
      });
      library.symbols.dlopen(name, mode);
      library.close();
      return;
    } catch {
      // not here
    }
  }
}
