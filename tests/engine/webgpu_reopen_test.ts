import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { add, dispose, tensor } from "@tensorflow/tfjs-core";
import { openWebGpuEngine } from "@/engine/mod.ts";
import { gpuTest } from "../support/gpu.ts";
import { reference } from "../support/reference.ts";

gpuTest("an engine may be closed right after a read, and another opened", async () => {
  const open = () => openWebGpuEngine({ float64: reference, reason: "a test" });
  const before = await open();
  for (let run = 0; run < 2; run++) {
    const x = before.emptyTensor([4]);
    await before.read([x]); // the second finds a staging buffer that was read before
    x.dispose();
  }
  await before.close();
  await new Promise((resolve) => setTimeout(resolve, 50)); // for what the read left behind
  const after = await open();
  const x = tensor([1, 2]), y = add(x, 1);
  deepEqual(await after.read([y]), [Float32Array.of(2, 3)]);
  dispose([x, y]);
  await after.close();
});
