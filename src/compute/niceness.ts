/**
 * Computing gives way: where it keeps all cores busy, the threads that answer HTTP go first.
 *
 * Linux keeps a priority for each thread, and a thread hands its own to those it starts. So one call
 * in the compute Worker, before a BLAS is opened, is enough for its helpers, the threads of the BLAS
 * and those of a software GPU.
 *
 * @module
 */

const SYMBOLS = {
  setpriority: { parameters: ["i32", "u32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `PRIO_PROCESS` of <sys/resource.h>; of process 0, which is the calling thread. */
const PROCESS = 0, THIS_THREAD = 0;

/** Two thirds of the weight of a thread that has not given way: at 5 refusals are sooner, and fewer requests are answered. */
export const NICENESS = 2;

/** Lowers the calling thread's priority. Nothing happens where the system is not Linux or FFI is not permitted. */
export function giveWay(): void {
  if (Deno.build.os !== "linux") return;
  try {
    const libc = Deno.dlopen("libc.so.6", SYMBOLS);
    libc.symbols.setpriority(PROCESS, THIS_THREAD, NICENESS);
    libc.close();
  } catch {
    // as it was: slower answers under load, and no other harm
  }
}
