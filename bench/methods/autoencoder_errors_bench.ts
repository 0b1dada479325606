/**
 * The error study of Koroko et al. 2022 on a real net: how far each method is from the Fisher block of every layer of the MNIST
 * auto-encoder 784-1000-500-250-30 and back, at initialisation and after some training.
 *
 * The Fisher is sampled: targets are drawn from the net's own output distribution (Bernoulli pixels). Errors are computed by
 * `POST /v1/approximation-errors`' own handler, in float64.
 *
 * Run: `deno task bench:errors` (about five minutes on two cores); `--steps N --examples N`, `--save` to keep the table and the plot.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { compile, type TopLevelSpec } from "vega-lite";
import { parse, View } from "vega";
import { CALL_HANDLERS } from "@/compute/calls/mod.ts";
import { openEngine } from "@/engine/mod.ts";
import { ApproximationErrorsRequest, type Document, tensorOf, validate } from "@/wire/mod.ts";
import { saveReport } from "../report.ts";
import { AutoEncoder, readImages } from "./autoencoder.ts";

const METHODS = [
  "kfac",
  "ekfac",
  "kpsvd",
  "deflation",
  "lanczos",
  "kfac_corrected",
  "tkfac",
  "tekfac",
  "mbf",
] as const;

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    steps: { type: "string", default: "300" },
    examples: { type: "string", default: "512" },
    save: { type: "boolean", default: false },
  },
});
const steps = Number(options.steps), examples = Number(options.examples);

interface Row {
  readonly after: string;
  readonly layer: string;
  readonly method: string;
  readonly error: number;
}

const engine = await openEngine({ engine: "auto", blas: "auto" });
const images = await readImages(20_000);
const net = new AutoEncoder([784, 1000, 500, 250, 30], 1);
const rows: Row[] = [];
await study("initialisation");
console.log(`\ntraining for ${steps} steps of 512 examples …`);
const loss = net.train(images, { steps, batch: 512, learningRate: 1e-3 });
console.log(`cross-entropy per example ${loss.toFixed(1)}`);
await study(`${steps} steps`);
if (options.save) {
  await saveReport("autoencoder-errors", "deno task bench:errors -- --save", {
    engine: engine.facts,
    net: "784-1000-500-250-30-250-500-1000-784, logistic units, sampled Fisher",
    examples,
    trained: { steps, batch: 512, optimizer: "Adam 1e-3", crossEntropy: loss },
    rows,
  });
  await plot(rows);
}
await engine.close();
Deno.exit(0);

/** All layers, all methods, on the first examples. */
async function study(after: string): Promise<void> {
  const layers = net.statistics(images.slice(0, examples * 784), 7);
  const request = validate(ApproximationErrorsRequest, {
    methods: [...METHODS],
    fisher: "sampled",
    layers: Object.fromEntries(layers.map(({ name, inputs, outputGradients }) => [name, {
      kind: "dense",
      inputs: tensorOf([examples, inputs.length / examples], inputs),
      output_gradients: tensorOf([examples, outputGradients.length / examples], outputGradients),
    }])),
  });
  const answer = await CALL_HANDLERS["approximation-errors"](engine, request as never) as Document;
  console.log(`\nrelative Frobenius error at ${after}, ${examples} examples`);
  console.log(["layer".padEnd(14), ...METHODS.map((m) => m.padStart(15))].join(""));
  for (const [layer, { errors }] of Object.entries(answer.layers!)) {
    const byMethod = errors as Record<string, number>;
    console.log(
      [layer.padEnd(14), ...METHODS.map((m) => byMethod[m].toPrecision(3).padStart(15))].join(""),
    );
    for (const method of METHODS) rows.push({ after, layer, method, error: byMethod[method] });
  }
}

/** Bars by layer and method, one panel a moment of training. */
async function plot(rows: readonly Row[]): Promise<void> {
  const spec: TopLevelSpec = {
    data: { values: [...rows] },
    title: "Distance of each approximation from the layer's Fisher block, MNIST auto-encoder",
    facet: { row: { field: "after", title: "after", sort: null } },
    spec: {
      width: 900,
      height: 220,
      mark: "bar",
      encoding: {
        x: { field: "layer", type: "nominal", sort: null, axis: { labelAngle: 0 } },
        xOffset: { field: "method", sort: [...METHODS] },
        y: { field: "error", type: "quantitative", title: "‖F − F̂‖ / ‖F‖" },
        color: { field: "method", sort: [...METHODS], scale: { scheme: "tableau10" } },
      },
    },
  };
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  const file = new URL("../results/autoencoder-errors.svg", import.meta.url);
  await Deno.writeTextFile(file, await view.toSVG());
  console.log("plot saved as bench/results/autoencoder-errors.svg");
}
