import { gpuTest } from "../support/gpu.ts";
import { contract } from "./contract.ts";
import { laws, rotations } from "./laws.ts";

contract(gpuTest);
laws(gpuTest);
rotations(gpuTest);
