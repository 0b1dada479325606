/**
 * One pass over a model with its blocks under observation.
 *
 * @module
 */
import {
  dispose,
  keep,
  type LayersModel,
  type NamedTensorMap,
  type Scalar,
  stack,
  Tensor,
  tidy,
  type Variable,
  zeros,
} from "@tensorflow/tfjs";
import { OutputWatch } from "./output_watch.ts";
import type { LayerStatistics, Statistics, StatisticsRequest } from "./statistics.ts";
import { backward, taped, untaped } from "./tape.ts";
import { BlockWatch } from "./watch.ts";
import type { WatchableBlock } from "./watchable.ts";

export interface Pass {
  readonly model: LayersModel;
  readonly blocks: readonly WatchableBlock[];
  /** Applies the model; returns its loss where variables or the empirical Fisher are asked for. */
  readonly pass: () => unknown;
  /** By which the loss is differentiated. */
  readonly variables: readonly Variable[];
  readonly request: StatisticsRequest;
}

/** Tensors that the caller disposes. */
export interface PassResult {
  /** Null where nothing needed it. */
  readonly loss: Scalar | null;
  /** By variable name; one that the loss does not depend on is left out. */
  readonly gradients: NamedTensorMap;
  readonly statistics: Statistics;
}

/** A gradient for each thing that is asked for; null where there is none. */
type Gradients = (Tensor | null)[];

/**
 * Runs a pass forward once, and backward as often as its variables and statistics want.
 *
 * @throws RangeError where the statistics asked for cannot be had of this model or pass, by name.
 */
export function runPass({ model, blocks, pass, variables, request }: Pass): PassResult {
  const kept: Tensor[] = [];
  const hold = (gradients: Gradients): Gradients => {
    kept.push(...gradients.filter((gradient) => gradient !== null));
    return gradients;
  };
  const watches = blocks.map((block) => new BlockWatch(block));
  let output: OutputWatch | undefined;
  try {
    const watched = output = new OutputWatch(model, request);
    const isEmpirical = request.fisher === "empirical";
    const { loss, ofVariables, ofOutputs } = taped(() => {
      const value = pass();
      const loss = isEmpirical || variables.length > 0 ? scalarLoss(value) : null;
      const s = watches.flatMap(({ uses }) => uses.map(({ preActivations }) => preActivations));
      const xs = isEmpirical ? [...variables, ...s] : variables;
      const gradients = loss ? hold(backward(loss, xs)) : [];
      const [keptLoss] = loss ? hold([keep(loss.clone())]) : [null];
      return {
        loss: keptLoss,
        ofVariables: gradients.slice(0, variables.length),
        ofOutputs: isEmpirical
          ? [gradients.slice(variables.length)]
          : logitGradients(request, watched.z.values).map((gradient) =>
            hold(untaped(() => backward(watched.z.onTape, s, gradient())))
          ),
      };
    });
    const layers = joined(watches, ofOutputs, lossScale(request, watched));
    return {
      loss: loss && loss.clone() as Scalar,
      gradients: Object.fromEntries(variables.flatMap(({ name }, at) => {
        const gradient = ofVariables[at];
        return gradient ? [[name, gradient.clone()]] : [];
      })),
      statistics: { fisher: request.fisher, backprops: ofOutputs.length, layers },
    };
  } finally {
    output?.end();
    for (const watch of watches) watch.end();
    dispose(kept);
  }
}

function scalarLoss(value: unknown): Scalar {
  if (value instanceof Tensor && value.rank === 0) return value as Scalar;
  const found = value instanceof Tensor ? `a tensor [${value.shape.join(", ")}]` : typeof value;
  throw new RangeError(
    `Cannot differentiate a pass as it must return a scalar loss: it is ${found}`,
  );
}

/** What each backward pass begins with at z, made when it is wanted. */
function logitGradients(
  request: Exclude<StatisticsRequest, { fisher: "empirical" }>,
  z: Tensor,
): (() => Tensor)[] {
  const { loss } = request;
  if (request.fisher === "exact") {
    return Array.from({ length: loss.columns(z.shape) }, (_, c) => () => loss.column(z, c));
  }
  const { seed, samples = 1 } = request;
  // no two seeds share a draw, however many samples each takes
  return Array.from({ length: samples }, (_, at) => () => loss.sample(z, seed * samples + at));
}

/** What makes of g the gradients of each example's own loss. */
function lossScale(request: StatisticsRequest, output: OutputWatch): number {
  if (request.fisher !== "empirical") return 1;
  const { gradientScale = "mean" } = request;
  if (gradientScale === "mean") return output.examples;
  return gradientScale === "example" ? 1 : gradientScale;
}

/**
 * The statistics of the layers that the loss depends on.
 *
 * @param passes the gradients of every use of every watched layer in turn, a backward pass each.
 */
function joined(
  watches: readonly BlockWatch[],
  passes: readonly Gradients[],
  scale: number,
): Map<string, LayerStatistics> {
  let at = 0;
  const layers = tidy(() =>
    watches.flatMap(({ block, uses }) => {
      const [from, to] = [at, at += uses.length];
      const gradients = passes.map((pass) => pass.slice(from, to));
      if (gradients.flat().every((gradient) => gradient === null)) return [];
      const inputs = block.joinInputs(uses.map((use) => use.inputs));
      const ofPasses = gradients.map((ofUses) =>
        block.joinGradients(ofUses.map((g, use) => g ?? zeros(uses[use].preActivations.shape)))
      );
      return [{
        name: block.name,
        inputs,
        outputGradients: ofPasses.length === 1 ? ofPasses[0] : stack(ofPasses),
        gradientScale: scale * block.scaleOf(uses.length),
      }];
    })
  );
  return new Map(layers.map(({ name, ...statistics }) => [name, statistics]));
}
