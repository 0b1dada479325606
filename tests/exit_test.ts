import { ok, strictEqual as equal } from "node:assert/strict";

const EXIT = new URL("../src/exit.ts", import.meta.url);

/** A process that ends by `exit()`. @param before what it does first. */
async function ended(before: string) {
  const code = `
    import { exit } from "${EXIT}";
    ${before}
    exit(7, 1);
  `;
  const started = performance.now();
  const { code: status, signal } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", code],
    stdout: "null",
    stderr: "null",
  }).output();
  return { status, signal, ms: performance.now() - started };
}

/** A destructor that never returns, as OpenBLAS's at times. */
const HANGING = `
  const libc = Deno.dlopen("libc.so.6", {
    pause: { type: "pointer" },
    __cxa_atexit: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  }).symbols;
  libc.__cxa_atexit(libc.pause, null, null);
`;

Deno.test("exit() ends with its code where nothing hinders it", async () => {
  const { status, signal } = await ended("");
  equal(signal, null);
  equal(status, 7);
});

Deno.test({
  name: "exit() ends a process whose destructors hang",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { status, ms } = await ended(HANGING);
    equal(status, 14);
    ok(ms >= 1000, `it did not hang: ${ms} ms`);
  },
});
