/** Nothing but the call knows that a library still works on its arrays. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { holdingArrays } from "@/engine/cpu/blas/held_arrays.ts";
import type { BlasLibrary } from "@/engine/cpu/blas/symbols.ts";

/** Runs a program of its own, in which the garbage collector can be called. */
async function outputOf(program: string): Promise<string> {
  const root = new URL("../../", import.meta.url);
  const file = await Deno.makeTempFile({ dir: new URL("tests/", root).pathname, suffix: ".ts" });
  await Deno.writeTextFile(file, program);
  try {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", "--v8-flags=--expose-gc", file],
      cwd: root.pathname,
      env: { NO_COLOR: "1" },
    }).output();
    return new TextDecoder().decode(stdout).trim();
  } finally {
    await Deno.remove(file);
  }
}

/** Whether an array that nobody else has is there while its call is under way, and after. @param held makes the calls. */
const PROGRAM = (held: string) => `
import { holdingArrays } from "@/engine/cpu/blas/held_arrays.ts";
const back = Promise.withResolvers();
const call = () => back.promise;
const { spotrf_ } = ${held}({ symbols: { spotrf_: call } });
let array = new Float32Array(4096);
const seen = new WeakRef(array);
const done = spotrf_(array);
array = null;
const isKept = async () => {
  for (let i = 0; i < 3; i++) { await new Promise((go) => setTimeout(go, 10)); gc(); }
  return seen.deref() !== undefined;
};
const during = await isKept();
back.resolve();
await done;
console.log(during, await isKept());
`;

Deno.test("what a nonblocking call was given is kept until it returns, and no longer", async () => {
  equal(await outputOf(PROGRAM("holdingArrays")), "true false");
  equal(
    await outputOf(PROGRAM("(({ symbols }) => symbols)")),
    "false false",
    "the check sees a loss",
  );
});

Deno.test("blocking calls are the library's own", () => {
  const own = () => {};
  const symbols = { cblas_sgemm: own, ssyevd_: () => Promise.resolve() };
  const held = holdingArrays({ symbols } as unknown as BlasLibrary);
  equal(held.cblas_sgemm, own as unknown);
  ok(held.ssyevd_ !== symbols.ssyevd_ as unknown);
});
