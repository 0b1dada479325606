import { gpuTest } from "../support/gpu.ts";
import { EMBEDDINGS, KRONECKER_LAYERS, NORMALISATIONS } from "../support/layer_zoo.ts";
import { embeddingOracle, kroneckerOracle, normalisationOracle } from "./dense_oracle.ts";

/** One layer of each path through the device; the cpu engine takes all. */
const FEW = [
  "dense io without bias",
  "dense expand, masked",
  "conv2d hwio nhwc, same, stride 2",
  "conv2d in two groups",
];

kroneckerOracle(gpuTest, Object.fromEntries(FEW.map((kind) => [kind, KRONECKER_LAYERS[kind]])));
embeddingOracle(gpuTest, { embedding: EMBEDDINGS.embedding });
normalisationOracle(gpuTest, {
  "scale_and_shift of a sequence, full": NORMALISATIONS["scale_and_shift of a sequence, full"],
});
