import { cpuTest } from "../support/cpu.ts";
import { tridiagonalOracle, twoLevelOracle } from "./model_oracle.ts";

tridiagonalOracle(cpuTest);
twoLevelOracle(cpuTest);
