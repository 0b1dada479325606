/**
 * Times every value that the tuning table may hold, one choice at a time, the others being those of
 * the adapter's class: what src/engine/webgpu/tuning.ts should say of this card.
 *
 * @module
 */
import { dispose, matMul, slice } from "@tensorflow/tfjs-core";
import { type Engine, type Float64, openWebGpuEngine, type Tuning } from "@/engine/mod.ts";
import { gram } from "@/linalg/mod.ts";
import { contest, here } from "../linalg/contest.ts";
import { examples, factor } from "../linalg/matrices.ts";
import { type Operation, solveAll } from "./work.ts";

/** Work whose time tells a choice: so many matrices of one side, or Gram matrices of 4096 rows. */
type Work = readonly [Operation | "matmul" | "gram", count: number, n: number];

interface Trial {
  readonly choice: keyof Tuning;
  readonly values: readonly (number | boolean)[];
  readonly works: readonly Work[];
  /** What the choice is of consequence with. */
  readonly others?: Partial<Tuning>;
}

const TRIALS: readonly Trial[] = [
  {
    choice: "subgroups",
    values: [false, true],
    works: [["inverse", 1, 256], ["inverse", 1, 1024], ["eigh", 64, 64], ["eigh", 1, 512]],
  },
  {
    choice: "tile64Above",
    values: [32, 64, 128, 256],
    works: [["matmul", 1, 64], ["matmul", 1, 128], ["matmul", 1, 256], ["eigh", 1, 256]],
  },
  {
    choice: "tile128Above",
    values: [256, 512, 1024, 2048],
    works: [["matmul", 1, 512], ["matmul", 1, 1024], ["matmul", 1, 2048], ["inverse", 1, 1024]],
  },
  {
    choice: "tilesInFlight",
    values: [64, 128, 256, 512],
    works: [["gram", 1, 64], ["gram", 1, 256], ["gram", 1, 1024]],
  },
  {
    choice: "jacobiLanes",
    values: [64, 128, 256],
    works: [["eigh", 1, 64], ["eigh", 64, 64], ["eigh", 1, 512], ["eigh", 1, 1024]],
  },
  {
    choice: "smallInverseInSubgroup",
    values: [false, true],
    works: [["inverse", 1, 128], ["inverse", 128, 128], ["inverse", 128, 64]],
  },
  {
    choice: "tridiagonal",
    values: [false, true],
    works: [["eigh", 1, 128], ["eigh", 1, 512], ["eigh", 1, 1024], ["eigh", 64, 256]],
  },
  {
    choice: "narrowBlocksUpTo",
    values: [64, 128, 256, 512, 1024],
    others: { tridiagonal: false },
    works: [["eigh", 1, 128], ["eigh", 1, 256], ["eigh", 1, 512], ["eigh", 1, 1024]],
  },
];

export interface Timing {
  readonly choice: keyof Tuning;
  readonly value: number | boolean;
  readonly work: string;
  /** Median milliseconds. */
  readonly ms: number;
}

/**
 * @param largest side to time, so that a slow device has an end.
 * @param seconds of repeats a turn.
 */
export async function sweep(
  float64: Float64,
  largest: number,
  seconds: number,
): Promise<Timing[]> {
  const timings: Timing[] = [];
  for (const { choice, values, works, others } of TRIALS) {
    for (const value of values) {
      const engine = await openWebGpuEngine({
        float64,
        reason: "a sweep",
        tuning: { ...others, [choice]: value },
      });
      if (engine.tuning[choice] !== value) console.log(`${choice} ${value} cannot be had here`);
      else {
        for (const work of works.filter(([, , n]) => n <= largest)) {
          const [operation, count, n] = work;
          const name = `${operation} ${count > 1 ? `${count}×` : ""}${n}`;
          const timing = { choice, value, work: name, ms: await timed(engine, work, seconds) };
          timings.push(timing);
          console.log(`${choice} ${value}  ${name}  ${timing.ms.toFixed(3)} ms`);
        }
      }
      await engine.close();
    }
  }
  return timings;
}

async function timed(engine: Engine, [operation, count, n]: Work, seconds: number) {
  const matrices = Array.from(
    { length: count },
    (_, i) => operation === "gram" ? examples(4096, n, n + i) : factor(n, n + i),
  );
  /** Ten in a row and one number read: what a product costs, not what a read does. */
  const products = async (product: (x: typeof matrices[0]) => ReturnType<typeof gram>) => {
    const results = Array.from({ length: 10 }, () => product(matrices[0]));
    const end = slice(results[9], [0, 0, 0], [1, 1, 1]);
    await engine.read([end]);
    dispose([...results, end]);
  };
  const run = () =>
    operation === "matmul"
      ? products((x) => matMul(x, x))
      : operation === "gram"
      ? products((x) => gram(x, 1 / 4096))
      : solveAll(engine, operation, matrices);
  const { ours } = await contest(here(operation, run), [], { seconds, most: 20 });
  dispose(matrices);
  return operation === "matmul" || operation === "gram" ? ours / 10 : ours;
}
