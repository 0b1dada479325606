import { cpuTest } from "../support/cpu.ts";
import { sittingTests } from "./sittings.ts";

// below, at and above what is solved in place, with one thread, with all threads
sittingTests(cpuTest, [3, 128, 200, 520]);
