import { gpuTest } from "../support/gpu.ts";
import type { Cell } from "./cells.ts";
import { contract } from "./contract.ts";
import { laws, rotations } from "./laws.ts";

/** Methods that ask the device at every round: where weights are shared too, a software adapter takes minutes over them. */
const ITERATIVE = ["kpsvd", "deflation", "lanczos", "kfac_corrected"];
const isShared = ({ kind }: Cell) => kind === "conv2d" || kind === "dense sequence";

// the cpu engine runs every cell; what differs between engines is beneath the laws
contract(gpuTest, (cell) => !(isShared(cell) && ITERATIVE.includes(cell.method)));
laws(gpuTest, (cell) => !isShared(cell));
rotations(gpuTest);
