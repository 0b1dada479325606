/**
 * `POST /v1/updates`: preconditioned gradients, from any form of the curvature.
 *
 * @module
 */
import {
  add,
  div,
  maximum,
  mul,
  reshape,
  scalar,
  slice,
  sqrt,
  square,
  stack,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import {
  type Context,
  expectKind,
  klClipFactor,
  type Layer,
  layerMethod,
  type MethodName,
  type MethodOptions,
  modelMethod,
  type PairProducts,
  type Preconditioner,
  quadraticStep,
  type Samples,
  settleOptions,
  sideBySide,
  weightedProduct,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra, Report } from "@/linalg/mod.ts";
import { type Document, formOf, type UpdateForm, type UpdatesRequest } from "@/wire/mod.ts";
import { type PreparedLayer, prepareLayer, uploadGradient, uploadStatistics } from "../layers.ts";
import {
  answerLayers,
  type CallOptions,
  documentOf,
  type LayerAnswer,
  type LayerOutcome,
  type Work,
} from "./call.ts";
import { preconditionerOfForm } from "./update_forms.ts";

/** A layer and the form its curvature came in. */
interface UpdateLayer extends PreparedLayer {
  readonly form: UpdateForm;
  readonly tkfacLocations: MethodOptions["tkfacLocations"];
}

/** A layer on the device, after the solve. */
interface Solved {
  readonly layer: Layer;
  /** V. */
  readonly gradient: Tensor3D;
  /** U, one a damping. */
  readonly updates: Tensor3D[];
  /** `F̂ U`, one a damping; null where not asked for or not known. */
  readonly products: (Tensor3D | null)[];
  /** Of the batch's own gradients. */
  readonly samples: PairProducts | null;
  readonly reports: Readonly<Record<string, readonly Report[]>>;
  readonly pi?: Tensor1D;
  readonly largest?: Tensor1D;
}

export async function updates(
  engine: Engine,
  request: UpdatesRequest,
  { signal }: CallOptions = {},
): Promise<Document> {
  const method = request.method ?? "kfac";
  const options = optionsOf(request, method);
  const isSweep = Array.isArray(request.damping);
  const coupled = modelMethod(method);
  if (coupled && request.on_error === "skip") {
    throw new CurvdError("unsupported", `${method} couples all layers: none can be skipped`, {
      pointer: "/on_error",
      value: "skip",
    });
  }
  const prepare = (layer: UpdatesRequest["layers"][string], name: string): UpdateLayer => {
    const form = formOf(layer, request.method);
    const prepared = prepareLayer(layer, name);
    if (form === "statistics" || form === "factors") expectKind(method, prepared.layer);
    return { ...prepared, form, tkfacLocations: layer.tkfac_locations ?? options.tkfacLocations };
  };
  const work: Work<UpdateLayer> = async (layers, linalg) => {
    const solved = coupled
      ? await solveModel(layers, method, options, linalg, isSweep)
      : await sideBySide(
        layers,
        (layer, name) => solveLayer(layer, method, { name, linalg, options }, isSweep),
      );
    return answer(layers, solved, request, isSweep);
  };
  const answered = await answerLayers(
    engine,
    request.layers,
    { ...request, signal },
    prepare,
    work,
  );
  answered.warnings.push(...scaleWarnings(answered.layers));
  return documentOf(answered);
}

/** A wrong scale of the output gradients changes F by its square in silence, so the check is told aloud. */
function scaleWarnings(layers: Readonly<Record<string, LayerAnswer>>): string[] {
  const WORST = 0.1;
  return Object.entries(layers).flatMap(([name, { gradient_check: check }]) =>
    typeof check !== "number" || Math.abs(check - 1) <= WORST ? [] : [
      `layer "${name}": gradient_check is ${check.toPrecision(3)}, 1 is right: ` +
      `the batch's mean of g aᵀ is not the gradient; see gradient_scale`,
    ]
  );
}

/** The parameters of a request as options of its method. @throws CurvdError `unsupported`. */
function optionsOf(request: UpdatesRequest, method: MethodName): MethodOptions {
  return settleOptions(method, {
    dampings: [request.damping ?? 0].flat(),
    dampingRule: request.damping_rule,
    pi: request.pi,
    power: request.power,
    dampedTerms: request.damped_terms,
    indefinite: request.indefinite,
    floor: request.floor,
    mbfBlocks: request.mbf_blocks,
    coarseSpace: request.coarse_space,
    rhs: request.rhs,
    tkfacLocations: request.tkfac_locations,
  });
}

/** One layer by itself. */
async function solveLayer(
  prepared: UpdateLayer,
  method: MethodName,
  context: Context,
  isSweep: boolean,
): Promise<Solved> {
  const { layer, form } = prepared;
  const statistics = prepared.batch ? uploadStatistics(prepared) : null;
  const samples = statistics && layer.samples(statistics);
  const options = { ...context.options, tkfacLocations: prepared.tkfacLocations };
  const own = form === "statistics" ? { ...context, options } : context;
  const preconditioner = form === "statistics"
    ? await preconditionerOfSamples(samples!, layer, method, own)
    : await preconditionerOfForm(prepared, form, method, context);
  const gradient = uploadGradient(prepared);
  const updates = preconditioner.apply(gradient);
  const { reports, pi, largest } = preconditioner;
  return {
    layer,
    gradient,
    updates,
    products: updates.map((u) => isSweep ? preconditioner.multiply(u) : null),
    samples: samples && layer.gradients(statistics!, samples),
    reports,
    pi,
    largest,
  };
}

/** From raw statistics: by the method's shortcut where it has one, else by its state. */
async function preconditionerOfSamples(
  samples: PairProducts,
  layer: Layer,
  name: MethodName,
  context: Context,
): Promise<Preconditioner> {
  const method = layerMethod(name, layer);
  const direct = await method.direct?.(samples, context);
  if (direct) return direct;
  return method.refresh(await method.observe(samples, context), context, samples);
}

/** All layers together. */
async function solveModel(
  layers: ReadonlyMap<string, UpdateLayer>,
  method: MethodName,
  options: MethodOptions,
  linalg: LinearAlgebra,
  isSweep: boolean,
): Promise<Map<string, Solved>> {
  const model = [...layers.values()].map((prepared) => {
    if (prepared.form !== "statistics") {
      throw new CurvdError(
        "invalid-request",
        `Layer "${prepared.layer.name}": ${method} needs inputs and output_gradients of every layer`,
        { layer: prepared.layer.name },
      );
    }
    const { layer } = prepared;
    const statistics = uploadStatistics(prepared);
    const samples = layer.samples(statistics) as Samples;
    return { layer, samples, gradients: layer.gradients(statistics, samples) };
  });
  const preconditioner = await modelMethod(method)!.refresh(model, { name: "", linalg, options });
  const gradients = [...layers.values()].map((prepared) => uploadGradient(prepared));
  const byDamping = await preconditioner.apply(gradients);
  const products = byDamping.map((updates) => isSweep ? preconditioner.multiply(updates) : null);
  return new Map(
    model.map(({ layer, gradients: samples }, l) => [layer.name, {
      layer,
      gradient: gradients[l],
      updates: byDamping.map((updates) => updates[l]),
      products: products.map((all) => all ? all[l] : null),
      samples,
      reports: preconditioner.reports[l],
    }]),
  );
}

/** What the request answers, still on the device. */
function answer(
  layers: ReadonlyMap<string, UpdateLayer>,
  solved: ReadonlyMap<string, Solved>,
  request: UpdatesRequest,
  isSweep: boolean,
): Awaited<ReturnType<Work<UpdateLayer>>> {
  const all = [...solved.values()];
  const inner = overLayers(all, ({ updates, gradient }, j) => sum(mul(updates[j], gradient)));
  const { kl_clip: kappa, learning_rate: learningRate } = request;
  const nu = kappa != null ? klClipFactor(inner, { kappa, learningRate: learningRate! }) : null;
  const clip = (u: Tensor3D, j: number): Tensor3D => nu ? mul(u, slice(nu, j, 1)) : u;
  const clipped = nu ? mul<Tensor1D>(inner, nu) : inner;
  const squares = overLayers(all, ({ updates }, j) => sum(square(clip(updates[j], j))));
  const numbers: Record<string, Tensor> = {
    inner_product: clipped,
    update_norm: sqrt(squares),
    ...(nu ? { kl_clip_factor: nu } : {}),
  };
  if (isSweep && all.every(({ products }) => products.every((product) => product !== null))) {
    const curvature = overLayers(
      all,
      ({ updates, products }, j) => sum(mul(clip(updates[j], j), clip(products[j]!, j))),
    );
    numbers.quadratic_decrease = sub(clipped, mul(curvature, 0.5));
  }
  const outcomes = new Map(
    [...solved].map(([name, each]) => [name, outcomeOf(layers.get(name)!, each, clip, isSweep)]),
  );
  // where every layer was skipped there is no model to step in
  if (request.step_size === undefined || all.length === 0) {
    return { outcomes, numbers, lists: isSweep };
  }
  return { outcomes, numbers, lists: isSweep, finish: quadratic(layers, all, request, clip) };
}

/** `Σ_layers f(layer, j)` of each damping, `[m]`. */
function overLayers(solved: readonly Solved[], f: (layer: Solved, j: number) => Tensor): Tensor1D {
  const dampings = solved[0]?.updates ?? [];
  if (dampings.length === 0) return reshape(scalar(0), [1]) as Tensor1D;
  return stack(
    dampings.map((_, j) => solved.map((layer) => f(layer, j)).reduce((x, y) => add(x, y))),
  ) as Tensor1D;
}

function outcomeOf(
  { tensors, batch, layer: { kind } }: UpdateLayer,
  { layer, gradient, updates, samples, reports, pi, largest }: Solved,
  clip: (u: Tensor3D, j: number) => Tensor3D,
  isSweep: boolean,
): LayerOutcome {
  const parts = updates.map((u, j) => layer.fromMatrix(clip(u, j)));
  const join = (each: Tensor[]) => isSweep ? stack(each) : each[0];
  const isChecked = samples && batch?.fisher === "empirical" && batch.backprops === 1 &&
    (kind === "dense" || kind === "conv2d") && tensors.inputs && tensors.output_gradients;
  return {
    tensors: {
      update: join(parts.map(({ update }) => update)),
      ...(parts[0].biasUpdate ? { bias_update: join(parts.map((p) => p.biasUpdate!)) } : {}),
    },
    numbers: {
      ...(pi ? { pi } : {}),
      ...(isChecked ? { gradient_check: gradientCheck(samples as Samples, gradient) } : {}),
    },
    fields: batch
      ? { samples: batch.examples, gradient_scale: batch.gradientScale, fisher: batch.fisher }
      : {},
    reports,
    largest,
  };
}

/** `⟨mean g aᵀ, ∇⟩/‖∇‖²`: 1 where the output gradients have the right scale. */
function gradientCheck(samples: Samples, gradient: Tensor3D): Tensor {
  const along = sum(samples.inner(gradient));
  return div(along, mul(maximum(sum(square(gradient)), 1e-38), samples.examples));
}

/** Step sizes by the quadratic model of all layers, from one more read than the updates. */
function quadratic(
  layers: ReadonlyMap<string, UpdateLayer>,
  solved: readonly Solved[],
  request: UpdatesRequest,
  clip: (u: Tensor3D, j: number) => Tensor3D,
): NonNullable<Awaited<ReturnType<Work<UpdateLayer>>>["finish"]> {
  const withPrevious = solved.filter(({ layer }) =>
    layers.get(layer.name)!.tensors.previous_update
  );
  if (withPrevious.length !== 0 && withPrevious.length !== solved.length) {
    const { layer } = solved.find((each) => !withPrevious.includes(each))!;
    throw new CurvdError("invalid-request", `Layer "${layer.name}": previous_update is missing`, {
      layer: layer.name,
      tensor: "previous_update",
      suggestion: "send it for every layer, or for none",
    });
  }
  const lacking = solved.find(({ samples }) => samples === null);
  if (lacking) {
    throw new CurvdError(
      "invalid-request",
      `Layer "${lacking.layer.name}": step_size needs inputs and output_gradients of every layer`,
      { layer: lacking.layer.name },
    );
  }
  const directions = solved.map(({ updates }) => mul<Tensor3D>(clip(updates[0], 0), -1));
  const previous = withPrevious.length === 0
    ? null
    : solved.map(({ layer }) =>
      uploadGradient(layers.get(layer.name)!, "previous_update", "previous_bias_update")
    );
  const gradients = solved.map(({ gradient }) => gradient);
  const dot = (x: Tensor3D[], y: Tensor3D[]): Tensor =>
    x.map((each, l) => sum(mul(each, y[l]))).reduce((a, b) => add(a, b));
  const perPair = (x: Tensor3D[]): Tensor1D =>
    solved.map(({ samples }, l): Tensor1D => sum(samples!.inner(x[l]), 0)).reduce((a, b) =>
      add(a, b)
    );
  const scalars = [
    dot(gradients, directions),
    dot(directions, directions),
    ...(previous
      ? [dot(gradients, previous), dot(previous, previous), dot(directions, previous)]
      : []),
  ];
  const { weight } = solved[0].samples!;
  const λ = [request.damping ?? 0].flat()[0] + (request.l2 ?? 0);
  return {
    read: {
      scalars: stack(scalars),
      directions: perPair(directions),
      ...(previous ? { previous: perPair(previous) } : {}),
    },
    fields: ({ scalars: s, directions: q, previous: q0 }) => {
      const { alpha, mu, predictedChange } = quadraticStep({
        gradientDirection: s[0],
        directionSquared: s[1],
        curvature: weightedProduct(q, q, weight),
        previous: q0
          ? {
            gradient: s[2],
            squared: s[3],
            direction: s[4],
            curvature: weightedProduct(q0, q0, weight),
            crossCurvature: weightedProduct(q, q0, weight),
          }
          : null,
      }, λ);
      return { alpha, mu, predicted_change: predictedChange };
    },
  };
}
