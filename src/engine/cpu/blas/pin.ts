/**
 * Keeps a library in memory for as long as the process lives.
 *
 * A library that is opened in a Worker is closed when that Worker ends. With the last one it would leave memory while threads
 * of its own, and calls that an ended Worker had under way, are still in it.
 *
 * @module
 */

/** `RTLD_NOW | RTLD_NODELETE`, and the C library that has `dlopen`. */
const LOADERS: Readonly<Record<string, { readonly path: string; readonly flags: number }>> = {
  linux: { path: "libc.so.6", flags: 0x1002 },
  darwin: { path: "libSystem.B.dylib", flags: 0x82 },
};

/** Loads a library for good, where the system's loader can be asked; elsewhere it stays while it is open. */
export function pin(path: string): void {
  const loader = LOADERS[Deno.build.os];
  if (!loader || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return;
  try {
    const { symbols, close } = Deno.dlopen(loader.path, {
      dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
    });
    symbols.dlopen(new TextEncoder().encode(`${path}\0`), loader.flags);
    close();
  } catch {
    // a C library of another name, or without dlopen
  }
}
