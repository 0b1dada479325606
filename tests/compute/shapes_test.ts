/** Tensors that do not fit their layer: each disagreement names the layer and the tensor. */
import type { CallName } from "../../src/compute/protocol.ts";
import type { ErrorCode } from "@/errors.ts";
import { call, callLayer, ids, refused, type RequestLayer, wire } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import {
  convLayer,
  denseLayer,
  embeddingLayer,
  scaleAndShiftLayer,
} from "../support/layer_cases.ts";
import { withoutGradient } from "../curvature/golden_layers.ts";

const dense = denseLayer({ n: 4, dIn: 3, dOut: 2, seed: 1 });
const io = denseLayer({ n: 4, dIn: 3, dOut: 2, layout: "io", seed: 1 });
const sequence = denseLayer({ n: 4, s: 2, dIn: 3, dOut: 2, masked: true, seed: 1 });
const conv = convLayer({ n: 3, channels: 2, filters: 4, image: [4, 5], kernel: [2, 2], seed: 1 });
const grouped = convLayer({
  ...{ n: 3, channels: 4, filters: 4, image: [4, 4], kernel: [2, 2] },
  groups: 2,
  seed: 1,
});
const table = embeddingLayer({ n: 4, vocabulary: 5, dOut: 2, seed: 1 });
const norm = scaleAndShiftLayer({ n: 4, features: 3, block: "full", seed: 1 });

const zeros = (...shape: number[]) => wire(shape, new Float32Array(shape.reduce((x, y) => x * y)));

/** What is wrong, the layer, the tensor named, and the code where it is not `invalid-tensor`. */
type Wrong = [string, RequestLayer, string | undefined, ErrorCode?];

const WRONG: Wrong[] = [
  [
    "another batch of output gradients",
    { ...dense, output_gradients: zeros(5, 2) },
    "output_gradients",
  ],
  ["wider output gradients", { ...dense, output_gradients: zeros(4, 3) }, "output_gradients"],
  ["wider inputs", { ...dense, inputs: zeros(4, 4) }, "inputs"],
  ["a longer bias gradient", { ...dense, bias_gradient: zeros(3) }, "bias_gradient"],
  ["a transposed gradient of oi", { ...dense, layout: "io" }, "bias_gradient"],
  ["a transposed gradient of io", { ...io, layout: "oi" }, "bias_gradient"],
  ["a shared axis in the inputs alone", { ...dense, inputs: zeros(4, 2, 3) }, "output_gradients"],
  [
    "a shorter sequence of output gradients",
    { ...sequence, output_gradients: zeros(4, 1, 2) },
    "output_gradients",
  ],
  ["a mask of another length", { ...sequence, mask: zeros(4, 3) }, "mask"],
  ["a mask of a layer without a shared axis", { ...dense, mask: zeros(4, 1) }, "mask"],
  ["a last update of another shape", { ...dense, previous_update: zeros(2, 2) }, "previous_update"],
  ["more channels", { ...conv, inputs: zeros(3, 3, 4, 5) }, "inputs"],
  [
    "another image of output gradients",
    { ...conv, output_gradients: zeros(3, 4, 3, 3) },
    "output_gradients",
  ],
  ["an image smaller than the kernel", { ...conv, inputs: zeros(3, 2, 1, 5) }, "inputs"],
  ["channels last where first are meant", { ...conv, data_format: "nhwc" }, "inputs"],
  ["a kernel of another layout", { ...conv, layout: "hwio" }, "gradient"],
  ["a gradient of another kernel", { ...conv, kernel_size: [3, 3] }, "gradient"],
  ["channels that groups do not divide", { ...grouped, groups: 3 }, undefined],
  ["a table of another vocabulary", { ...table, vocabulary: 6 }, "gradient"],
  [
    "more output gradients than ids",
    { ...table, output_gradients: zeros(5, 2) },
    "output_gradients",
  ],
  ["an id beyond the vocabulary", { ...table, inputs: ids([4], [0, 1, 5, 2]) }, "inputs"],
  [
    "more features than stated",
    { ...norm, inputs: zeros(4, 2), output_gradients: zeros(4, 2) },
    "inputs",
  ],
  ["a scale of another length", { ...norm, gradient: zeros(2) }, "gradient"],
  ["backprops that are fewer", {
    ...dense,
    output_gradients: zeros(2, 4, 2),
    backprops: 3,
    fisher: "exact",
  }, "output_gradients"],
  [
    "several backprops of the empirical Fisher",
    { ...dense, output_gradients: zeros(2, 4, 2) },
    "output_gradients",
    "invalid-request",
  ],
  [
    "NaN among the inputs",
    { ...dense, inputs: wire([4, 3], [1, 2, NaN, ...new Array(9).fill(0)]) },
    "inputs",
    "not-finite",
  ],
];

for (const [what, layer, tensor, code = "invalid-tensor"] of WRONG) {
  cpuTest(`${layer.kind} with ${what} is refused, naming layer and tensor`, async (engine) => {
    const layers = { good: dense, bad: layer };
    const facts = { layer: "bad", ...(tensor ? { tensor } : {}) };
    await refused(call(engine, "updates", { layers, damping: 1 }), code, facts);
  });
}

const A = wire([4, 4], new Float32Array(16).fill(1)), G = wire([2, 2], [1, 0, 0, 1]);
const gradient = { kind: "dense", gradient: dense.gradient, bias_gradient: dense.bias_gradient };
const OF_FORMS: [string, RequestLayer, string][] = [
  ["A without the bias's row", { ...gradient, A: wire([3, 3], new Float32Array(9)), G }, "A"],
  ["a larger G", { ...gradient, A, G: zeros(3, 3) }, "G"],
  ["a packed G of another side", { ...gradient, A, G: zeros(6) }, "G"],
  ["a smaller basis", { ...gradient, Q_A: zeros(3, 3), Q_G: G, S: zeros(2, 4) }, "Q_A"],
  ["transposed second moments", { ...gradient, Q_A: A, Q_G: G, S: zeros(4, 2) }, "S"],
  [
    "fewer eigenvalues",
    { ...gradient, Q_A: A, Q_G: G, lambda_A: zeros(3), lambda_G: zeros(2) },
    "lambda_A",
  ],
  [
    "more terms on one side",
    { ...gradient, A_terms: zeros(2, 4, 4), G_terms: zeros(1, 2, 2) },
    "G_terms",
  ],
];
for (const [what, layer, tensor] of OF_FORMS) {
  cpuTest(
    `a layer with ${what} is refused, naming it`,
    (engine) =>
      refused(call(engine, "updates", { layers: { bad: layer }, damping: 1 }), "invalid-tensor", {
        layer: "bad",
        tensor,
      }).then(() => {}),
  );
}

cpuTest("three Kronecker terms have no common eigenbasis and are refused", async (engine) => {
  const layer = { ...gradient, A_terms: zeros(3, 4, 4), G_terms: zeros(3, 2, 2) };
  await refused(callLayer(engine, "updates", layer, { damping: 1 }), "unsupported", {
    layer: "l",
    limit: 2,
  });
});

for (
  const name of ["factors", "scalings", "kronecker-terms", "approximation-errors"] as CallName[]
) {
  cpuTest(
    `${name} refuses statistics of different batches, naming layer and tensor`,
    async (engine) => {
      const layer = {
        ...withoutGradient(dense),
        output_gradients: zeros(5, 2),
        ...(name === "scalings" ? { Q_A: A, Q_G: G } : {}),
      };
      const parameters = name === "kronecker-terms"
        ? { method: "kpsvd" }
        : name === "approximation-errors"
        ? { methods: ["kfac"] }
        : {};
      const facts = { layer: "l", tensor: "output_gradients" };
      await refused(callLayer(engine, name, layer, parameters), "invalid-tensor", facts);
    },
  );
}
