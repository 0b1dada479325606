/**
 * What a method costs on a layer: multiplications in pairs with additions (FLOPs) by stage, and bytes on the wire.
 *
 * Leading terms only, of the algorithms as they are here: an estimate to plan with, before any data moves.
 *
 * @module
 */
import { BLOCKS_BUDGET_BYTES } from "./mbf.ts";
import type { MethodName } from "./registry.ts";

/** Sizes of a layer's blocks. */
export interface LayerSize {
  readonly kind: "dense" | "conv2d" | "embedding" | "scale_and_shift";
  /** b, independent blocks. */
  readonly groups: number;
  /** Of one block, homogeneous coordinate included; an embedding's vocabulary; 2f of a normalisation layer. */
  readonly dIn: number;
  readonly dOut: number;
  /** Whether dIn has the homogeneous coordinate. */
  readonly hasBias: boolean;
  /** Of a normalisation layer: whether its block is kept as its diagonal. */
  readonly isDiagonal?: boolean;
  /** T, places an example. */
  readonly locations: number;
  /** kh·kw of a convolution, else 1. */
  readonly taps: number;
  /** Values of one example's input and of its output. */
  readonly inputValues: number;
  readonly outputValues: number;
}

/** Work by the operation that bounds it: products, Cholesky inverses, eigendecompositions. */
export interface StageFlops {
  readonly products: number;
  readonly inverses: number;
  readonly eigh: number;
}

export interface Cost {
  readonly statistics: StageFlops;
  readonly refresh: StageFlops;
  readonly update: StageFlops;
  /** Request and answer of one `updates` from raw statistics, F32. */
  readonly wireBytes: number;
  readonly fits: boolean;
}

/** Rounds of power iteration that a leading pair takes: measured 5 to 16. */
const POWER_ROUNDS = 10;
/** What a step on a device takes beside its arithmetic, in FLOPs: two steps an example in the coordinates of places. */
const STEP_FLOPS = 2e6;
/** The Gram matrix of all places, and their rows, are kept in at most this; else the pairs are found by products. */
const PLACES_BUDGET_BYTES = 256 * 2 ** 20;
/** FLOPs of a symmetric eigendecomposition with vectors, in units of d³ (tridiagonal reduction, divide and conquer, back-transformation). */
const EIGH_UNITS = 9;

/** The cost of one layer under a method, for batches of n examples. */
export function costOf(method: MethodName | "shampoo" | "soap", size: LayerSize, n: number): Cost {
  const { groups: b, dIn, dOut, locations: T } = size;
  if (size.kind === "scale_and_shift") return diagonalCost(size, n);
  const rows = n * T;
  const isShared = T > 1;
  const d3 = b * ((size.kind === "embedding" ? 0 : dIn ** 3) + dOut ** 3);
  const gram = b * rows * ((size.kind === "embedding" ? 1 : dIn ** 2) + dOut ** 2); // half of 2 rows d², by symmetry
  const apply = 2 * b * dOut * dIn * (dOut + (size.kind === "embedding" ? 1 : dIn));
  const moments = isShared
    ? 2 * b * (rows * dOut * (dOut + dIn) + n * dOut * dIn ** 2)
    : 2 * b * rows * (dIn ** 2 + dOut ** 2 + dIn * dOut);
  const pair = isShared ? sharedPair(size, n).flops : 4 * POWER_ROUNDS * b * rows *
    (dIn ** 2 + dOut ** 2);
  const products = (x: number): StageFlops => ({ products: x, inverses: 0, eigh: 0 });
  const inverses: StageFlops = { products: 0, inverses: d3, eigh: 0 };
  const bases: StageFlops = { products: 0, inverses: 0, eigh: EIGH_UNITS * d3 };
  const pencils: StageFlops = { products: 6 * d3, inverses: d3, eigh: EIGH_UNITS * d3 };
  const none = products(0);
  const plain = (statistics: number, refresh: StageFlops, update: number): Stages => ({
    statistics: products(statistics),
    refresh,
    update: products(update),
  });
  const gradient = b * dIn * dOut;
  const filterBlocks = size.kind === "conv2d" ? gradient * size.taps : b * dOut * dIn ** 2;
  const woodbury = size.kind === "dense" && !isShared && 2 * n <= dIn;
  const miniBlocks = woodbury ? dOut * n ** 2 : filterBlocks;

  const stages: Record<string, () => Stages> = {
    kfac: () => plain(gram, inverses, apply),
    foof: () =>
      plain(b * rows * dIn ** 2, { ...inverses, inverses: b * dIn ** 3 }, 2 * b * dOut * dIn ** 2),
    ekfac: () => plain(gram + moments, bases, 2 * apply),
    tkfac: () => plain(2 * gram, inverses, apply),
    tekfac: () => plain(2 * gram + moments, bases, 2 * apply),
    kpsvd: () => plain(pair, inverses, apply),
    deflation: () => plain(2 * pair, pencils, 2 * apply),
    lanczos: () => plain(2 * pair, pencils, 2 * apply),
    kfac_corrected: () => plain(gram + pair, pencils, 2 * apply),
    kfac_tridiagonal: () => plain(3 * gram, add(inverses, pencils), 6 * apply),
    kfac_two_level: () => plain(gram, inverses, apply + 6 * n * gradient),
    mbf: () =>
      plain(
        2 * n * miniBlocks,
        {
          ...none,
          inverses: woodbury
            ? dOut * n ** 3
            : filterBlocks / blockSide(size) ** 2 * blockSide(size) ** 3,
        },
        2 * miniBlocks,
      ),
    shampoo: () => plain(2 * b * dOut * dIn * (dOut + dIn), { ...bases, products: 2 * d3 }, apply),
    soap: () =>
      plain(
        2 * b * dOut * dIn * (dOut + dIn),
        { products: 6 * d3, inverses: 0, eigh: 0 },
        2 * apply,
      ),
  };
  const raw = n * (size.inputValues + size.outputValues);
  return {
    ...stages[method](),
    wireBytes: 4 * (raw + 2 * gradient),
    fits: method !== "mbf" || 4 * miniBlocks <= BLOCKS_BUDGET_BYTES,
  };
}

/** Sizes that the search for a pair depends on. */
type PairSize = Pick<LayerSize, "groups" | "dIn" | "dOut" | "locations">;

/** Whether a leading pair of a layer that shares its weights is found in the coordinates of its places, in how many bytes at most. */
export function pairInPlaces(size: PairSize, n: number): { pays: boolean; bytes: number } {
  const { inPlaces, bytes } = sharedPair(size, n);
  return { pays: inPlaces, bytes };
}

/**
 * The FLOPs of a leading pair, by whichever is less: products with matrices of side d_in and d_out every round, or the Gram
 * matrix of all places once, and every round two products of T × T blocks for every two examples.
 */
function sharedPair(
  { groups: b, dIn, dOut, locations: T }: PairSize,
  n: number,
): { flops: number; inPlaces: boolean; bytes: number } {
  const rows = n * T;
  const around = 4 * rows * T * (dIn + dOut); // both ways from [T, d] to [T, T]
  const byProducts = POWER_ROUNDS * (3 * rows * (dIn ** 2 + dOut ** 2) + around);
  const byPlaces = 2 * rows ** 2 * dIn + rows * dIn ** 2 +
    POWER_ROUNDS * (4 * T * rows ** 2 + 3 * rows * dOut ** 2 + around + 2 * n * STEP_FLOPS / b);
  const kept = 4 * b * rows * (rows + dIn + dOut);
  const inPlaces = T > 1 && kept <= PLACES_BUDGET_BYTES && byPlaces < byProducts;
  const bytes = kept + 2 * b * rows ** 2; // half of the Gram matrix stands beside it while it is cut
  return { flops: b * (inPlaces ? byPlaces : byProducts), inPlaces, bytes };
}

interface Stages {
  readonly statistics: StageFlops;
  readonly refresh: StageFlops;
  readonly update: StageFlops;
}

function blockSide({ kind, taps, dIn }: LayerSize): number {
  return kind === "conv2d" ? taps : dIn;
}

/** A normalisation layer: a pass over its statistics, and a division. */
function diagonalCost({ dIn, inputValues, outputValues }: LayerSize, n: number): Cost {
  const products = (x: number): StageFlops => ({ products: x, inverses: 0, eigh: 0 });
  const raw = n * (inputValues + outputValues);
  return {
    statistics: products(2 * raw),
    refresh: products(dIn),
    update: products(dIn),
    wireBytes: 4 * (raw + 2 * dIn),
    fits: true,
  };
}

function add(x: StageFlops, y: StageFlops): StageFlops {
  return {
    products: x.products + y.products,
    inverses: x.inverses + y.inverses,
    eigh: x.eigh + y.eigh,
  };
}

/** All FLOPs of a stage. */
export function total({ products, inverses, eigh }: StageFlops): number {
  return products + inverses + eigh;
}
