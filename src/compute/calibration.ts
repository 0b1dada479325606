/**
 * How fast this machine's engine is at what the stages are made of, measured once when a plan is first asked for.
 *
 * @module
 */
import { dispose, matMul, randomNormal, type Tensor3D } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { gram, settle } from "@/linalg/mod.ts";
import type { StageFlops } from "@/curvature/mod.ts";

/** FLOPs a millisecond of each kind of work. */
export type Rates = Readonly<Record<keyof StageFlops, number>>;

const WIDTH = 256;
/** FLOPs of an inverse and of an eigendecomposition, as cost.ts counts them. */
const INVERSE_FLOPS = WIDTH ** 3;
const EIGH_FLOPS = 9 * WIDTH ** 3;

const measured = new WeakMap<Engine, Promise<Rates>>();

/** The rates of an engine; the first call takes some tens of milliseconds. */
export function ratesOf(engine: Engine): Promise<Rates> {
  let rates = measured.get(engine);
  if (!rates) measured.set(engine, rates = measure(engine));
  return rates;
}

async function measure(engine: Engine): Promise<Rates> {
  const x = randomNormal([1, 2 * WIDTH, WIDTH], 0, 1, "float32", 1) as Tensor3D;
  const factor = gram(x, 1 / (2 * WIDTH));
  try {
    const products = await timed(engine, () => {
      const product = matMul(factor, factor);
      return Promise.resolve({ read: [product], keep: {} });
    });
    const inverses = await timed(engine, async (linalg) => {
      const [{ inverse }] = await linalg.choleskyInverse([
        { name: "calibration", matrix: factor, shift: 0.1 },
      ]);
      return { read: [inverse], keep: {} };
    });
    const eigh = await timed(engine, async (linalg) => {
      const [{ vectors, values }] = await linalg.eigh([{ name: "calibration", matrix: factor }]);
      return { read: [vectors, values], keep: {} };
    });
    return {
      products: 2 * WIDTH ** 3 / products,
      inverses: INVERSE_FLOPS / inverses,
      eigh: EIGH_FLOPS / eigh,
    };
  } finally {
    dispose([x, factor]);
  }
}

/** The second of two runs: the first compiles and warms up. Milliseconds. */
async function timed(engine: Engine, work: Parameters<typeof settle>[1]): Promise<number> {
  await settle(engine, work);
  const started = performance.now();
  await settle(engine, work);
  return performance.now() - started;
}
