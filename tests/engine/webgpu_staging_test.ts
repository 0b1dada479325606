import { ok, strictEqual as equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { PROVEN_VERSIONS } from "../../src/engine/webgpu/staging.ts";
import { isWithoutGpu } from "../support/gpu.ts";

/** Two hundred reads in a process of their own. */
async function readInChild(way: "primed" | "awaited") {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", fileURLToPath(new URL("webgpu_staging_child.ts", import.meta.url)), way],
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await child.output();
  equal(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout)) as { right: number; medianMs: number };
}

Deno.test({
  name: "a primed staging buffer is read right and within two milliseconds, on the proven versions",
  ignore: isWithoutGpu || !PROVEN_VERSIONS.includes(Deno.version.deno),
  fn: async () => {
    const { right, medianMs } = await readInChild("primed");
    equal(right, 200);
    ok(medianMs < 2, `median ${medianMs} ms`);
  },
});

Deno.test({
  name: "an awaited staging buffer is read right on any version",
  ignore: isWithoutGpu,
  fn: async () => equal((await readInChild("awaited")).right, 200),
});
