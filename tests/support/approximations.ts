/**
 * Methods at the level of functions: what a method makes of one layer, as dense matrices.
 *
 * `multiply` of a {@linkcode Preconditioner} is applied to every unit matrix, so F̂ comes out whole, whatever form a
 * method keeps it in.
 *
 * @module
 */
import {
  concat,
  engine as tfEngine,
  stack,
  type Tensor,
  type Tensor3D,
  tensor3d,
} from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import {
  type Context,
  type KroneckerLayer,
  layerMethod,
  type MethodName,
  type PairProducts,
  type Preconditioner,
  ScaleAndShiftLayer,
  settleOptions,
  type StatedOptions,
} from "@/curvature/mod.ts";
import { type LinearAlgebra, settle } from "@/linalg/mod.ts";
import { CALL_SCHEMAS, validate } from "@/wire/mod.ts";
import {
  type PreparedLayer,
  prepareLayer,
  uploadStatistics,
  type WireLayer,
} from "../../src/compute/layers.ts";
import type { RequestLayer } from "./calls.ts";
import type { Dense } from "./dense.ts";

/** A layer of a request as the handlers see it: defaults filled in, tensors looked at. */
export function prepared(layer: RequestLayer): PreparedLayer {
  const { layers } = layer.gradient
    ? validate(CALL_SCHEMAS.updates.request, { damping: 1, layers: { l: layer } })
    : validate(CALL_SCHEMAS.factors.request, { layers: { l: layer } });
  return prepareLayer(layers.l as WireLayer, "l");
}

/** Work on a layer's samples; the tensors it answers are read in float64, everything is disposed. */
export async function withSamples<S extends PairProducts>(
  engine: Engine,
  layer: RequestLayer,
  work: (samples: S, linalg: LinearAlgebra) => Promise<readonly Tensor[]> | readonly Tensor[],
): Promise<Dense[]> {
  const ready = prepared(layer);
  tfEngine().startScope();
  try {
    const { arrays } = await settle(engine, async (linalg) => ({
      read: await work(ready.layer.samples(uploadStatistics(ready)) as S, linalg),
      keep: null,
    }));
    return arrays.map((values) => Float64Array.from(values));
  } finally {
    tfEngine().endScope();
  }
}

/** A method's preconditioner of a layer, from its statistics, the long way or (`direct`) by its shortcut. */
export async function preconditionerOf(
  name: MethodName,
  { layer }: PreparedLayer,
  samples: PairProducts,
  context: Context,
  { direct = false } = {},
): Promise<Preconditioner> {
  const method = layerMethod(name, layer);
  if (direct) {
    const short = await method.direct?.(samples, context);
    if (short) return short;
  }
  return method.refresh(await method.observe(samples, context), context, samples);
}

/** `F̂ [D, D]` of each block of a layer, undamped; not for embeddings, whose tables are the other way round. */
export async function approximationOf(
  engine: Engine,
  layer: RequestLayer,
  name: MethodName,
  stated: StatedOptions = {},
): Promise<Dense[]> {
  const ready = prepared(layer);
  const options = settleOptions(name, { dampings: [1], ...stated });
  const [columns] = await withSamples(engine, layer, async (samples, linalg) => {
    const context = { name: "l", linalg, options };
    const preconditioner = await preconditionerOf(name, ready, samples, context);
    return [stack(units(shapeOf(ready)).map((unit) => preconditioner.multiply(unit)!))];
  });
  return blocksOf(columns, ready);
}

/** Shape of a layer's matrices. */
function shapeOf({ layer }: PreparedLayer): readonly [number, number, number] {
  if (layer instanceof ScaleAndShiftLayer) return [1, 1, 2 * layer.description.features];
  const { groups, dOut, dIn } = layer as KroneckerLayer;
  return [groups, dOut, dIn];
}

/** `[D, b, dOut, dIn]` as matrices of each block. F̂ is symmetric, so rows and columns are one. */
function blocksOf(columns: Dense, ready: PreparedLayer): Dense[] {
  const [b, rows, width] = shapeOf(ready);
  const D = rows * width;
  return Array.from(
    { length: b },
    (_, block) =>
      Float64Array.from(
        { length: D * D },
        (_, at) => columns[(Math.floor(at / D) * b + block) * D + at % D],
      ),
  );
}

/** Every unit matrix, in all blocks at once: they do not see one another. */
function units([b, rows, columns]: readonly [number, number, number]): Tensor3D[] {
  return Array.from({ length: rows * columns }, (_, at) => {
    const one = tensor3d(
      Float32Array.from({ length: rows * columns }, (_, i) => Number(i === at)),
      [1, rows, columns],
    );
    return b === 1 ? one : concat(Array<Tensor3D>(b).fill(one), 0);
  });
}
