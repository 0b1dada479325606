import { cpuTest } from "../support/cpu.ts";
import { contract } from "./contract.ts";
import { laws, rotations } from "./laws.ts";

contract(cpuTest);
laws(cpuTest);
rotations(cpuTest);
