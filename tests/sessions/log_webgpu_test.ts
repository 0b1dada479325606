/** The log of a session on WebGPU: what a batch left is read back in the midst of a step. */
import { gpuTest } from "../support/gpu.ts";
import { GOES_ON, steppedAlike } from "./stepped_alike.ts";

for (const method of ["kfac", "ekfac"]) {
  gpuTest(`${method} on WebGPU: ${GOES_ON}`, (engine) => steppedAlike(engine, method, "async"));
}
