/**
 * Whose child a process is.
 *
 * Only Linux needs to be asked, and tells in `/proc/<pid>/stat`. Deno opens nothing under `/proc`
 * short of all permissions, so the C library reads it, as the BLAS is called: by FFI.
 *
 * @module
 */

export interface Ancestry {
  /** The parent's pid; undefined where it cannot be told. */
  parentOf(pid: number): number | undefined;
  close(): void;
}

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const READ_ONLY = 0;
const UNKNOWN: Ancestry = { parentOf: () => undefined, close: () => {} };

/** An ancestry that knows nothing where the system is not Linux or FFI is not permitted. */
export function openAncestry(): Ancestry {
  if (Deno.build.os !== "linux") return UNKNOWN;
  try {
    const libc = Deno.dlopen("libc.so.6", SYMBOLS);
    return {
      parentOf(pid) {
        const stat = readFile(libc.symbols, `/proc/${pid}/stat`);
        return stat === undefined ? undefined : parentIn(stat);
      },
      close: () => libc.close(),
    };
  } catch {
    return UNKNOWN;
  }
}

/** Field 4 of `stat`: `pid (command) state ppid …`; the command may hold blanks and parentheses. */
export function parentIn(stat: string): number | undefined {
  const ppid = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  return Number.isInteger(ppid) && ppid > 0 ? ppid : undefined;
}

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

function readFile(libc: Libc, path: string): string | undefined {
  const file = libc.open(new TextEncoder().encode(`${path}\0`), READ_ONLY);
  if (file < 0) return undefined;
  const bytes = new Uint8Array(1024);
  const length = Number(libc.read(file, bytes, BigInt(bytes.length)));
  libc.close(file);
  return length > 0 ? new TextDecoder().decode(bytes.subarray(0, length)) : undefined;
}
