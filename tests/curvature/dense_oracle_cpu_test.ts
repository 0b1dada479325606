import { cpuTest } from "../support/cpu.ts";
import { EMBEDDINGS, KRONECKER_LAYERS, NORMALISATIONS } from "../support/layer_zoo.ts";
import { embeddingOracle, kroneckerOracle, normalisationOracle } from "./dense_oracle.ts";

kroneckerOracle(cpuTest, KRONECKER_LAYERS);
embeddingOracle(cpuTest, EMBEDDINGS);
normalisationOracle(cpuTest, NORMALISATIONS);
