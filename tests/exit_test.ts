import { strictEqual as equal } from "node:assert/strict";

const EXIT = new URL("../src/exit.ts", import.meta.url);

/** A process that ends by `exit()`. @param before what it does first. */
async function ended(before: string) {
  const code = `
    import { exit } from "${EXIT}";
    ${before}
    exit(7);
  `;
  const { code: status, signal, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", code],
    stderr: "null",
    signal: AbortSignal.timeout(30_000),
  }).output();
  return { status, signal, said: new TextDecoder().decode(stdout) };
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

for (
  const [name, before] of Object.entries({
    "ends a process whose destructors hang": HANGING,
    "needs nothing of the loader, whose lock another thread may hold": `
    ${HANGING}
    Deno.dlopen = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  `,
  })
) {
  Deno.test({
    name: `exit() ${name}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const { status, signal } = await ended(before);
      equal(signal, null);
      equal(status, 7);
    },
  });
}

Deno.test("exit() tells whoever waits for the end of the thread", async () => {
  const { said } = await ended('addEventListener("unload", () => console.log("the end"));');
  equal(said, "the end\n");
});
