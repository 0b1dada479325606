/** A library outlives the Worker that opened it. */
import { strictEqual as equal } from "node:assert/strict";
import { openBlas } from "../../src/engine/cpu/blas/open.ts";

const OPEN = new URL("../../src/engine/cpu/blas/open.ts", import.meta.url);
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** A process whose Worker opens the BLAS and ends; it tells whether the library is still there. */
const PROGRAM = `
  const code = 'import { openBlas } from "${OPEN}"; openBlas("auto"); postMessage(0); self.close();';
  const worker = new Worker("data:application/javascript," + encodeURIComponent(code), { type: "module" });
  const isLoaded = () => Deno.readTextFileSync("/proc/self/maps").includes("blas");
  await new Promise((resolve) => worker.onmessage = resolve);
  const before = isLoaded();
  worker.terminate();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  console.log(before, isLoaded());
`;

const hasBlas = Deno.build.os === "linux" && openBlas("auto") !== null;
if (!hasBlas) console.log("no BLAS for Linux: that it stays loaded is not tested");

Deno.test({
  name: "a BLAS stays loaded when the Worker that opened it has ended",
  ignore: !hasBlas,
  fn: async () => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", `--config=${CONFIG}`, PROGRAM],
    }).output();
    const said = new TextDecoder().decode(stdout).trim();
    equal(said, "true true", new TextDecoder().decode(stderr));
  },
});
