/**
 * The end of the process, which does not wait for native libraries for good.
 *
 * `exit()` runs their destructors. OpenBLAS's waits for its threads, and was seen waiting for one that had missed its wake-up
 * (0.3.21 on glibc 2.36, after minutes of load). Nothing of ours runs any more by then, so the
 * system is asked beforehand to end what has not ended: `_exit` is what SIGALRM calls, as a signal alone does not end the first
 * process of a container.
 *
 * @module
 */

const SYMBOLS = {
  _exit: { type: "pointer" },
  signal: { parameters: ["i32", "pointer"], result: "pointer" },
  alarm: { parameters: ["u32"], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

const SIGALRM = 14;

/** What destructors may take, in seconds. */
const SECONDS = 5;

/**
 * Ends the process; with code 14 where destructors hang on Linux, and FFI is permitted.
 * @param seconds until then.
 */
export function exit(code: number, seconds = SECONDS): never {
  if (Deno.build.os === "linux") {
    try {
      const libc = Deno.dlopen("libc.so.6", SYMBOLS).symbols;
      libc.signal(SIGALRM, libc._exit);
      libc.alarm(seconds);
    } catch {
      // without FFI there is no BLAS either
    }
  }
  Deno.exit(code);
}
