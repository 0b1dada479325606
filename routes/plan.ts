/** `POST /v1/plan`. @module */
import { statelessCall } from "./stateless.ts";

export const plan = statelessCall({
  call: "plan",
  summary: "What a model would cost",
  description: "Bytes on the device and on the wire, FLOPs and estimated milliseconds of each " +
    "stage, and whether it fits. No tensors are sent.",
  example: {
    layers: { fc1: { kind: "dense", d_in: 784, d_out: 128 } },
    method: "kfac",
    n: 512,
  },
});
