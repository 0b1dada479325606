import { gpuTest } from "../support/gpu.ts";
import { goldenSuite } from "./golden.ts";

goldenSuite(gpuTest);
