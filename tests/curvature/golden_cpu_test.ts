import { cpuTest } from "../support/cpu.ts";
import { goldenSuite } from "./golden.ts";

goldenSuite(cpuTest);
