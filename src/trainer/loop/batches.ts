/**
 * Where batches come from: tensors in a new order each epoch, or whatever gives them itself.
 *
 * @module
 */
import { dispose, gather, type Tensor, tensor1d, tidy } from "@tensorflow/tfjs";

export interface Batch {
  readonly inputs: Tensor;
  readonly targets: Tensor;
}

/** A batch as TensorFlow.js's data sets give it. */
export interface DatasetBatch {
  readonly xs: Tensor;
  readonly ys: Tensor;
}

/** What `tf.data.Dataset` is to a loop. */
interface Dataset {
  iterator(): Promise<{ next(): Promise<IteratorResult<DatasetBatch>> }>;
}

/** Whole tensors, whose batches are made here; or batches, once an epoch anew. */
export type TrainingData =
  | Batch
  | Iterable<DatasetBatch>
  | AsyncIterable<DatasetBatch>
  | Dataset;

export interface BatchOptions {
  readonly batchSize: number;
  /** Of the order; null keeps the tensors' own. */
  readonly shuffle: number | null;
}

/**
 * The batches of one epoch, in turn; the caller disposes each.
 *
 * Of whole tensors, examples that fill no batch are left out: a smaller batch would count as much as a whole one in
 * the running averages of the curvature.
 *
 * @throws RangeError where there are fewer examples than a batch has.
 */
export async function* batchesOf(
  data: TrainingData,
  epoch: number,
  { batchSize, shuffle }: BatchOptions,
): AsyncGenerator<Batch, void> {
  if ("inputs" in data) return yield* slices(data, epoch, { batchSize, shuffle });
  if ("iterator" in data) {
    const batches = await data.iterator();
    for (
      let { done, value } = await batches.next();
      !done;
      { done, value } = await batches.next()
    ) {
      yield { inputs: value.xs, targets: value.ys };
    }
    return;
  }
  for await (const { xs, ys } of data) yield { inputs: xs, targets: ys };
}

function* slices(
  { inputs, targets }: Batch,
  epoch: number,
  { batchSize, shuffle }: BatchOptions,
): Generator<Batch, void> {
  const count = inputs.shape[0];
  if (count < batchSize) {
    throw new RangeError(`Cannot make a batch of ${batchSize} from ${count} examples`);
  }
  const order = shuffle === null ? ascending(count) : permutation(count, shuffle * 65_537 + epoch);
  for (let at = 0; at + batchSize <= count; at += batchSize) {
    const chosen = order.subarray(at, at + batchSize);
    yield tidy(() => {
      const indices = tensor1d(chosen, "int32");
      return { inputs: gather(inputs, indices), targets: gather(targets, indices) };
    });
  }
}

function ascending(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i);
}

/**
 * 0 … count − 1 in an order of the seed's.
 *
 * Source: Fisher and Yates' shuffle, by draws of mulberry32.
 */
export function permutation(count: number, seed: number): Int32Array {
  const order = ascending(count);
  let state = seed | 0;
  const random = () => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

export function disposeBatch({ inputs, targets }: Batch): void {
  dispose([inputs, targets]);
}
