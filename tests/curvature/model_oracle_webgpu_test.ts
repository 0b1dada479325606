import { gpuTest } from "../support/gpu.ts";
import { tridiagonalOracle, twoLevelOracle } from "./model_oracle.ts";

tridiagonalOracle(gpuTest);
twoLevelOracle(gpuTest);
