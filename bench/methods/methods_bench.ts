/**
 * Every method on a dense 1024 × 1024 layer and on a 256 → 256 3 × 3 convolution at batch 128: the time of its statistics, its refresh
 * and its update, and how they relate to K-FAC's.
 *
 * Run: `deno task bench:methods`; `-- --engine webgpu`, `--quick` for small layers, `--save` to keep the figures. Medians of repeats after a warm-up.
 *
 * @module
 */
import {
  dispose,
  expandDims,
  eye,
  randomNormal,
  type Tensor,
  type Tensor3D,
  tile,
} from "@tensorflow/tfjs-core";
import {
  Conv2dLayer,
  DEFAULT_OPTIONS,
  DenseLayer,
  type KroneckerLayer,
  layerMethod,
  type MethodName,
  type MethodOptions,
  METHODS,
  type Samples,
  settleOptions,
} from "@/curvature/mod.ts";
import { openEngine } from "@/engine/mod.ts";
import { type LinearAlgebra, settle } from "@/linalg/mod.ts";
import { saveReport } from "../report.ts";

const isQuick = Deno.args.includes("--quick");
const engineName = Deno.args.includes("--engine")
  ? Deno.args[Deno.args.indexOf("--engine") + 1] as "cpu" | "webgpu"
  : "auto";
const REPEATS = isQuick ? 3 : 5;
const BATCH = 128;

const engine = await openEngine({ engine: engineName, blas: "auto" });

interface Problem {
  readonly name: string;
  readonly layer: KroneckerLayer;
  readonly inputs: number[];
  readonly grads: number[];
  readonly methods: readonly MethodName[];
}

const independent = (Object.keys(METHODS) as MethodName[]).filter((m) => !METHODS[m].isCoupled);
const width = isQuick ? 128 : 1024, channels = isQuick ? 16 : 256, image = isQuick ? 6 : 14;
const problems: Problem[] = [
  {
    name: `dense ${width}x${width}`,
    layer: new DenseLayer(
      "dense",
      { kind: "dense", bias: true, layout: "oi", sharing: "expand" },
      width,
      width,
    ),
    inputs: [BATCH, width],
    grads: [BATCH, width],
    methods: independent,
  },
  {
    name: `conv2d ${channels}->${channels} 3x3, ${image}x${image}`,
    layer: new Conv2dLayer(
      "conv",
      {
        kind: "conv2d",
        bias: true,
        layout: "oihw",
        dataFormat: "nhwc",
        kernelSize: [3, 3],
        strides: [1, 1],
        dilations: [1, 1],
        padding: "same",
        groups: 1,
        sharing: "expand",
        activations: "full",
      },
      [3, 3],
      channels,
      channels,
    ),
    inputs: [BATCH, image, image, channels],
    grads: [BATCH, image, image, channels],
    // products with exact per-example gradients: the KPSVD family's rounds take minutes at this size on a CPU
    methods: ["kfac", "ekfac", "tkfac", "tekfac", "mbf", "foof"],
  },
];

interface Row {
  readonly problem: string;
  readonly method: MethodName;
  readonly statistics_ms: number;
  readonly refresh_ms?: number;
  readonly update_ms?: number;
  /** EKFAC's second moments alone, beside the factors' time in `statistics_ms`. */
  readonly scalings_ms?: number;
}

type Stages = Pick<Row, "statistics_ms" | "refresh_ms" | "update_ms">;

function samplesOf({ layer, inputs, grads }: Problem): Samples {
  return layer.samples({
    inputs: randomNormal(inputs, 0, 1, "float32", 1),
    outputGradients: randomNormal(grads, 0, 1, "float32", 2),
    fisher: "empirical",
    backprops: 1,
    hasBackpropAxis: false,
    gradientScale: 1,
  }) as Samples;
}

/** The three stages of one method, each settled (read back) before the clock stops. */
async function measure(problem: Problem, method: MethodName): Promise<Required<Stages> & Row> {
  const { layer } = problem;
  const options: MethodOptions = {
    ...settleOptions(method, { dampings: [1e-2] }),
    maxIterations: DEFAULT_OPTIONS.maxIterations,
    tolerance: 1e-5,
  };
  const implementation = layerMethod(method, layer);
  const samples = samplesOf(problem);
  const V = randomNormal([1, layer.dOut, layer.dIn], 0, 1, "float32", 3) as Tensor3D;
  const times = { statistics: [] as number[], refresh: [] as number[], update: [] as number[] };
  const repeats = layer.kind === "conv2d" && !isQuick ? 1 : REPEATS;
  for (let repeat = 0; repeat <= repeats; repeat++) {
    let started = performance.now();
    const lap = (stage: keyof typeof times) => {
      const now = performance.now();
      if (repeat > 0 || repeats === 1) times[stage].push(now - started);
      started = performance.now();
    };
    // a mini-block layer of this width has no state that fits: it goes straight to its Woodbury form
    const isDirect = method === "mbf" && layer.kind === "dense" && 2 * BATCH <= layer.dIn;
    const { keep: state } = await settle(engine, async (linalg) => ({
      read: [],
      keep: isDirect ? null : await implementation.observe(samples, contextOf(linalg)),
    }));
    await wait(state);
    lap("statistics");
    const { keep: preconditioner } = await settle(engine, async (linalg) => ({
      read: [],
      keep: isDirect
        ? (await implementation.direct!(samples, contextOf(linalg)))!
        : await implementation.refresh(state, contextOf(linalg), samples),
    }));
    lap("refresh");
    const updates = preconditioner.apply(V);
    await engine.read(updates);
    lap("update");
    dispose(updates);
    preconditioner.dispose();
    if (!isDirect) implementation.release(state);
    if (repeats === 1) break;
  }
  samples.dispose();
  V.dispose();
  return {
    problem: problem.name,
    method,
    statistics_ms: median(times.statistics),
    refresh_ms: median(times.refresh),
    update_ms: median(times.update),
  };

  function contextOf(linalg: LinearAlgebra) {
    return { name: layer.name, linalg, options };
  }
}

/** Reads one number of each tensor of a state, so that a device's queue is empty before the clock stops. */
async function wait(state: unknown): Promise<void> {
  const tensors: Tensor[] = [];
  const collect = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if ("dataId" in value) tensors.push(value as Tensor);
    else Object.values(value).forEach(collect);
  };
  collect(state);
  if (engine.kind === "webgpu") await engine.read(tensors.slice(0, 1));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.floor(sorted.length / 2)];
}

/** EKFAC's second moments in a basis that is there already, against K-FAC's factors of the same batch. */
async function measureScalings(problem: Problem): Promise<Row> {
  const { layer } = problem;
  const samples = samplesOf(problem);
  const identity = (d: number) => tile(expandDims<Tensor3D>(eye(d), 0), [layer.groups, 1, 1]);
  const [Q_A, Q_G] = [identity(layer.dIn), identity(layer.dOut)];
  const repeats = layer.kind === "conv2d" && !isQuick ? 1 : REPEATS;
  const time = async (work: () => Tensor[]) => {
    const times: number[] = [];
    for (let repeat = 0; repeat <= repeats; repeat++) {
      const started = performance.now();
      const tensors = work();
      await wait(tensors);
      times.push(performance.now() - started);
      dispose(tensors);
    }
    return median(times.slice(1));
  };
  const factors = await time(() => [samples.inputFactor(), samples.gradFactor()]);
  const scalings = await time(() => [samples.secondMoments(Q_A, Q_G)]);
  samples.dispose();
  dispose([Q_A, Q_G]);
  console.log(
    `ekfac scalings ${scalings.toFixed(1)} ms, ${(scalings / factors).toFixed(2)} of the factors' ${
      factors.toFixed(1)
    } ms`,
  );
  return { problem: problem.name, method: "ekfac", statistics_ms: factors, scalings_ms: scalings };
}

const rows: Row[] = [];
for (const problem of problems) {
  console.log(`\n${problem.name}, batch ${BATCH}, engine ${engine.kind}`);
  console.log("method            statistics     refresh      update   (relative to kfac)");
  let base: Required<Stages> | undefined;
  for (const method of problem.methods) {
    const row = await measure(problem, method);
    base ??= row; // kfac comes first
    rows.push(row);
    const cell = (x: number, of: number) =>
      `${x.toFixed(1).padStart(8)} (${(x / of).toFixed(2).padStart(5)})`;
    console.log(
      `${method.padEnd(15)} ${cell(row.statistics_ms, base.statistics_ms)} ${
        cell(row.refresh_ms, base.refresh_ms)
      } ${cell(row.update_ms, base.update_ms)}`,
    );
  }
  rows.push(await measureScalings(problem));
}
if (Deno.args.includes("--save")) {
  await saveReport(`methods-${engine.kind}`, "deno task bench:methods -- --save", {
    engine: engine.facts,
    batch: BATCH,
    rows,
  });
}
await engine.close();
Deno.exit(0);
