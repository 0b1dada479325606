/**
 * Samples of a layer applied at several places of each example: a convolution, a sequence, a weight used T times.
 *
 * Then `P_i = Σ_t g_it a_itᵀ`, and whatever squares or multiplies gradients does so after that sum. The rows come
 * in chunks of a few examples, so that neither the patches of a whole batch nor its per-example
 * gradients ever stand in memory together ({@linkcode CHUNK_BUDGET_BYTES}).
 *
 * @module
 */
import {
  add,
  concat,
  dispose,
  expandDims,
  matMul,
  mul,
  reshape,
  slice,
  square,
  sum,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  type Tensor4D,
  tidy,
  zeros,
} from "@tensorflow/tfjs-core";
import { gram, symmetricProduct, trace, weightedGram } from "@/linalg/mod.ts";
import { PlaceSpace } from "./pairs/place_space.ts";
import { CHUNK_BUDGET_BYTES, type Filters, type Fisher, type Samples } from "./samples.ts";

/** The rows of a batch, cut to order. */
export interface RowSource {
  readonly layer: string;
  readonly groups: number;
  readonly dIn: number;
  readonly dOut: number;
  readonly examples: number;
  /** T, masked places included. */
  readonly locations: number;
  readonly backprops: number;
  readonly fisher: Fisher;
  readonly filters: Filters | null;
  /** What multiplies `Σ a aᵀ` and `Σ_k g gᵀ` (sampled: already divided by k) in the K-FAC factors. */
  readonly inputScale: number;
  readonly gradScale: number;
  /** `a [b, m·T, d_in]` of examples `from … from + m`, homogeneous coordinate included. @throws CurvdError without inputs. */
  inputs(from: number, m: number): Tensor3D;
  /** `g [b, m·T, d_out]` of the same examples in backprop k. @throws CurvdError without gradients. */
  grads(backprop: number, from: number, m: number): Tensor3D;
  /** Another K-FAC input factor than the mean of outer products (SUA). */
  inputFactor?(): Tensor3D;
  dispose(): void;
}

/** A chunk: m examples of one backprop. */
interface Chunk {
  readonly backprop: number;
  readonly from: number;
  readonly m: number;
}

export class SharedSamples implements Samples {
  readonly layer: string;
  readonly groups: number;
  readonly dIn: number;
  readonly dOut: number;
  readonly examples: number;
  readonly pairs: number;
  readonly weight: number;
  readonly locations: number;
  readonly filters: Filters | null;

  constructor(private readonly source: RowSource) {
    const { layer, groups, dIn, dOut, examples, locations, backprops, fisher } = source;
    this.layer = layer;
    this.filters = source.filters;
    this.groups = groups;
    this.dIn = dIn;
    this.dOut = dOut;
    this.examples = examples;
    this.locations = locations;
    this.pairs = examples * backprops;
    this.weight = 1 / (fisher === "sampled" ? this.pairs : examples);
  }

  inputFactor(): Tensor3D {
    const { source } = this;
    if (source.inputFactor) return source.inputFactor();
    const firstBackprop = this.chunks(source.locations * source.dIn).filter((c) =>
      c.backprop === 0
    );
    return accumulate(
      firstBackprop,
      ({ from, m }) => gram(source.inputs(from, m), source.inputScale),
    );
  }

  gradFactor(): Tensor3D {
    const { source } = this;
    return accumulate(
      this.chunks(source.locations * source.dOut),
      ({ backprop, from, m }) => gram(source.grads(backprop, from, m), source.gradScale),
    );
  }

  secondMoments(Q_A: Tensor3D, Q_G: Tensor3D): Tensor3D {
    const { groups: b, dIn, dOut } = this;
    return accumulate(this.chunks(), (chunk) => {
      const { m } = chunk;
      const { a, g } = this.rowsOf(chunk);
      // rotating the rows costs T·d_in² an example, rotating the gradient d_out·d_in²
      const rotated = this.locations < dOut
        ? reshape(products(matMul(g, Q_G), matMul(a, Q_A), b * m), [b, m, dOut, dIn])
        : reshape(
          matMul(reshape(products(matMul(g, Q_G), a, b * m), [b, m * dOut, dIn]) as Tensor3D, Q_A),
          [b, m, dOut, dIn],
        ); // Q_Gᵀ P Q_A
      return mul(sum<Tensor3D>(square(rotated), 1), this.weight);
    });
  }

  forward(M: Tensor3D): Tensor3D {
    return this.congruence(M, this.dIn, this.dOut, ({ a, g }) => [a, g]); // Σ P M Pᵀ
  }

  adjoint(U: Tensor3D): Tensor3D {
    return this.congruence(U, this.dOut, this.dIn, ({ a, g }) => [g, a]); // Σ Pᵀ U P
  }

  partialTraces(
    locations: "exact" | "independent",
  ): { inputs: Tensor3D; grads: Tensor3D; trace: Tensor1D } {
    const { groups: b, dIn, dOut, weight } = this;
    const term = (of: (a: Tensor3D, g: Tensor3D, m: number) => Tensor3D) =>
      accumulate(this.chunks(), (chunk) => {
        const { a, g } = this.rowsOf(chunk);
        return of(a, g, chunk.m);
      });
    const squares = (x: Tensor3D) => sum<Tensor2D>(square(x), 2);
    const inputs = locations === "exact"
      ? term((a, g, m) => gram(reshape(products(g, a, b * m), [b, m * dOut, dIn]), weight)) // P
      : term((a, g) => mul(weightedGram(a, squares(g)), weight)); // w Σ |g|² a aᵀ
    const grads = locations === "exact"
      ? term((a, g, m) => gram(reshape(products(a, g, b * m), [b, m * dIn, dOut]), weight)) // Pᵀ
      : term((a, g) => mul(weightedGram(g, squares(a)), weight)); // w Σ |a|² g gᵀ
    return { inputs, grads, trace: trace(grads) };
  }

  inner(V: Tensor3D): Tensor2D {
    const { groups: b, locations: T, dIn } = this;
    const parts = this.chunks(T * dIn).map((chunk) =>
      tidy(() => {
        const { a, g } = this.rowsOf(chunk);
        const perRow = sum(mul(matMul(g, V), a), 2); // g_tᵀ V a_t
        return sum<Tensor2D>(reshape(perRow, [b, chunk.m, T]), 2);
      })
    );
    return tidy(() => taking(parts, (all) => concat(all, 1)));
  }

  combine(q: Tensor2D): Tensor3D {
    const { groups: b, locations: T, examples, dOut } = this;
    return accumulate(this.chunks(T * this.dIn), (chunk) => {
      const { backprop, from, m } = chunk;
      const { a, g } = this.rowsOf(chunk);
      const weights = slice(q, [0, backprop * examples + from], [b, m]);
      const perExample = reshape(g, [b, m, T * dOut]);
      const weighted = reshape(mul(perExample, expandDims(weights, 2)), [b, m * T, dOut]);
      return matMul(weighted, a, true) as Tensor3D;
    });
  }

  *gradients(): Iterable<Tensor4D> {
    const { groups: b, dIn, dOut } = this;
    for (const chunk of this.chunks()) {
      yield tidy(() => {
        const { a, g } = this.rowsOf(chunk);
        return reshape(products(g, a, b * chunk.m), [b, chunk.m, dOut, dIn]) as Tensor4D;
      });
    }
  }

  rows(): null {
    return null;
  }

  places(): PlaceSpace | null {
    const { source, examples, weight } = this;
    if (source.inputFactor) return null;
    const { backprops, inputScale } = source;
    return PlaceSpace.of({
      a: source.inputs(0, examples),
      g: this.allGrads(),
      examples,
      backprops,
      weight,
      inputScale,
    });
  }

  inputRows(limit: number): { rows: Tensor3D; scale: number } | null {
    const { source, examples, locations } = this;
    if (examples * locations > limit || source.inputFactor) return null;
    return { rows: source.inputs(0, examples), scale: source.inputScale };
  }

  gradRows(limit: number): { rows: Tensor3D; scale: number } | null {
    if (this.pairs * this.locations > limit) return null;
    return { rows: this.allGrads(), scale: this.source.gradScale };
  }

  dispose(): void {
    this.source.dispose();
  }

  /** `g [b, k·n·T, d_out]`, backprop by backprop. */
  private allGrads(): Tensor3D {
    const { source, examples } = this;
    return tidy(() =>
      concat(
        Array.from({ length: source.backprops }, (_, k) => source.grads(k, 0, examples)),
        1,
      )
    );
  }

  /**
   * `w Σ_i (Σ_t y_it x_itᵀ) M (Σ_t y_it x_itᵀ)ᵀ`, by whichever is less work: over the places, `Yᵀ (X M Xᵀ) Y` with T × T in the middle, or
   * over each example's gradient `YᵀX`.
   */
  private congruence(
    M: Tensor3D,
    dX: number,
    dY: number,
    sides: (rows: { a: Tensor3D; g: Tensor3D }) => [x: Tensor3D, y: Tensor3D],
  ): Tensor3D {
    const { groups: b, locations: T, weight } = this;
    const isOverPlaces = T * (dX + dY) + dY ** 2 / 2 < 2 * dX * dY + dX * dY ** 2 / (2 * T);
    const chunks = isOverPlaces ? this.chunks(2 * T * (dX + dY) + T ** 2) : this.chunks();
    return accumulate(chunks, (chunk) => {
      const { m } = chunk;
      const [x, y] = sides(this.rowsOf(chunk));
      const image = matMul(x, M) as Tensor3D; // x M
      if (isOverPlaces) {
        const middle = matMul(byExample(image, b * m), byExample(x, b * m), false, true);
        const right: Tensor3D = reshape(matMul(middle, byExample(y, b * m)), [b, m * T, dY]);
        return mul(symmetricProduct(y, right, true), weight);
      }
      const left: Tensor3D = reshape(products(x, y, b * m), [b, m * dX, dY]);
      const right: Tensor3D = reshape(products(image, y, b * m), [b, m * dX, dY]);
      return mul(symmetricProduct(left, right, true), weight);
    });
  }

  /** The batch in chunks, each with at most the budget at `floats` an example (by default: rows, gradient and its rotation). */
  private chunks(
    floats = this.locations * (this.dIn + 2 * this.dOut) + 2 * this.dIn * this.dOut,
  ): Chunk[] {
    const { groups, examples, source } = this;
    const most = Math.max(1, Math.floor(CHUNK_BUDGET_BYTES / (4 * groups * floats)));
    const chunks: Chunk[] = [];
    for (let backprop = 0; backprop < source.backprops; backprop++) {
      for (let from = 0; from < examples; from += most) {
        chunks.push({ backprop, from, m: Math.min(most, examples - from) });
      }
    }
    return chunks;
  }

  /** Rows of a chunk; to be called inside a tidy. */
  private rowsOf({ backprop, from, m }: Chunk): { a: Tensor3D; g: Tensor3D } {
    return { a: this.source.inputs(from, m), g: this.source.grads(backprop, from, m) };
  }
}

/** `XᵀY` of each of `count` examples: `x [b, m·T, r]`, `y [b, m·T, c]` → `[b·m, r, c]`. */
function products(x: Tensor3D, y: Tensor3D, count: number): Tensor3D {
  return matMul(byExample(x, count), byExample(y, count), true);
}

/** `[b, m·T, r]` → `[b·m, T, r]`. */
function byExample(x: Tensor3D, count: number): Tensor3D {
  const [b, rows, r] = x.shape;
  return reshape(x, [count, b * rows / count, r]);
}

/** Sums what each chunk gives. */
function accumulate(chunks: readonly Chunk[], term: (chunk: Chunk) => Tensor3D): Tensor3D {
  let total: Tensor3D | null = null;
  for (const chunk of chunks) {
    const before: Tensor3D | null = total;
    total = tidy(() => before === null ? term(chunk) : add(before, term(chunk)));
    before?.dispose();
  }
  return total ?? zeros([0, 0, 0]);
}

/** Applies `f` and disposes what it was given. */
function taking<X extends Tensor3D | Tensor2D[], Y>(x: X, f: (x: X) => Y): Y {
  const y = f(x);
  dispose(x);
  return y;
}
