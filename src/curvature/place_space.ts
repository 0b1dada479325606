/**
 * The rearranged Fisher block of a layer that shares its weights, in the coordinates of its places.
 *
 * Every V that is an image of `Rᵀ` is `Σ_e A_eᵀ Y_e A_e`, with `A_e [T, d_in]` the rows of example e and `Y_e [T, T]` symmetric. With
 * the Gram matrix of all places, `K = A Aᵀ [nT, nT]`, a round of power iteration never forms it:
 *
 *   Rᵀ U ↔ Y_e = w Σ_k G_ke U G_keᵀ,   A_e V A_eᵀ = Σ_e' K_ee' Y_e' K_e'e,   R V = w Σ_ke G_keᵀ (A_e V A_eᵀ) G_ke
 *
 * That is `4 T (nT)²` operations in place of `4 nT d_in²`, once K is there. U stays a matrix, and a term taken away is one more
 * summand on either side.
 *
 * Source: the kernel form of Koroko et al. 2022, arXiv:2201.10285, section 3.1, for `P_i = Σ_t g_it a_itᵀ`.
 *
 * @module
 */
import {
  concat,
  dispose,
  expandDims,
  eye,
  matMul,
  mul,
  reshape,
  slice,
  stack,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor3D,
  tidy,
  tile,
} from "@tensorflow/tfjs-core";
import {
  gram,
  innerProduct,
  scaleEach,
  type Stack,
  symmetricProduct,
  transposeEach,
} from "@/linalg/mod.ts";

/** Values of K that are computed together: 32 MiB. */
const MOST_VALUES = 2 ** 23;

/** The rows of a batch, and how they are weighted. */
export interface PlaceRows {
  /** `[b, n·T, d_in]`. */
  readonly a: Tensor3D;
  /** `[b, k·n·T, d_out]`, backprop by backprop. */
  readonly g: Tensor3D;
  /** n. */
  readonly examples: number;
  /** k. */
  readonly backprops: number;
  /** w of one pair in F. */
  readonly weight: number;
  /** What multiplies `Σ a aᵀ` in K-FAC's A. */
  readonly inputScale: number;
}

/** A term `G ⊗ A` that is taken away, A in coordinates. */
export interface PlacedTerm {
  /** `Y [b·n, T, T]`. */
  readonly Y: Tensor3D;
  readonly G: Stack;
}

/** R(F) less some terms. */
export class PlaceSpace {
  readonly groups: number;
  readonly dOut: number;

  /** @param strips `K_e [b, n·T, T]`, the columns of each example. */
  private constructor(
    private readonly rows: PlaceRows,
    private readonly strips: readonly Tensor3D[],
    private readonly removed: readonly PlacedTerm[] = [],
  ) {
    this.groups = rows.a.shape[0];
    this.dOut = rows.g.shape[2];
  }

  /** Computes K; takes over the rows. */
  static of(rows: PlaceRows): PlaceSpace {
    return new PlaceSpace(rows, gramStrips(rows.a, rows.examples));
  }

  /** `R(F)` without one more term, which must outlive it. It is disposed with the space it comes from. */
  without(term: PlacedTerm): PlaceSpace {
    return new PlaceSpace(this.rows, this.strips, [...this.removed, term]);
  }

  /** Y of `Rᵀ U`: `[b, d_out, d_out]` to `[b·n, T, T]`. */
  adjoint(U: Stack): Tensor3D {
    const { groups: b, rows: { g, examples: n, backprops: k, weight } } = this;
    return tidy(() => {
      const images = matMul(this.byPair(matMul(g, U)), this.byPair(g), false, true);
      const [, T] = images.shape;
      const summed = k === 1 ? images : sum(reshape(images, [b, k, n * T * T]), 1);
      return this.removed.reduce<Tensor3D>(
        (Y, term) => sub(Y, this.scaledEach(term.Y, innerProduct(term.G, U))),
        mul(reshape(summed, [b * n, T, T]), weight),
      );
    });
  }

  /** U of `R V`, by the coordinates of V. */
  forward(Y: Tensor3D): Stack {
    const { groups: b, rows: { g, examples: n, backprops: k, weight } } = this;
    return tidy(() => {
      const N = this.restricted(Y);
      const T = N.shape[1];
      const everyPair = k === 1 ? N : tile(reshape(N, [b, 1, n * T * T]), [1, k, 1]);
      const right = matMul(reshape(everyPair, [b * k * n, T, T]) as Tensor3D, this.byPair(g));
      const U = mul(symmetricProduct(g, reshape(right, g.shape), true), weight);
      return this.removed.reduce<Stack>(
        (rest, term) => sub(rest, scaleEach(term.G, this.inner(term.Y, N))),
        U as Stack,
      );
    });
  }

  /** K-FAC's A `[b, d_in, d_in]`. */
  inputFactor(): Stack {
    return gram(this.rows.a, this.rows.inputScale);
  }

  /** Y of K-FAC's A, `[b·n, T, T]`. */
  inputCoordinates(): Tensor3D {
    const { groups: b, rows: { a, examples: n, inputScale } } = this;
    return tidy(() => {
      const identity = expandDims<Tensor3D>(eye(a.shape[1] / n), 0);
      return tile(mul(identity, inputScale), [b * n, 1, 1]);
    });
  }

  /** `V = Σ_e A_eᵀ Y_e A_e [b, d_in, d_in]`. */
  matrixOf(Y: Tensor3D): Stack {
    const { a } = this.rows;
    return tidy(() => {
      const [b, places, d] = a.shape, [count, T] = Y.shape;
      const right: Tensor3D = matMul(Y, reshape(a, [count, T, d]) as Tensor3D);
      return symmetricProduct(a, reshape(right, [b, places, d]), true);
    });
  }

  /** `Y` of each group times its number. */
  scaledEach(Y: Tensor3D, factor: Tensor1D): Tensor3D {
    return tidy(() => reshape(scaleEach(this.byGroup(Y), factor), Y.shape));
  }

  dispose(): void {
    dispose([this.rows.a, this.rows.g, ...this.strips]);
  }

  /** `A_e V A_eᵀ [b·n, T, T]` of every example. */
  private restricted(Y: Tensor3D): Tensor3D {
    const { groups: b } = this;
    return tidy(() => {
      const [, T] = Y.shape;
      const restrictions = this.strips.map((strip) =>
        tidy(() => { // (Y_e' K_e'e)ᵀ K_e'e, over all e' in one sum
          const left = matMul(Y, reshape(strip, Y.shape) as Tensor3D);
          return matMul(reshape(left, strip.shape), strip, true);
        })
      );
      return reshape(stack(restrictions as Tensor[], 1), [b * restrictions.length, T, T]);
    });
  }

  /** `⟨V, V'⟩ [b]` of the coordinates of one and the restriction of the other. */
  private inner(Y: Tensor3D, N: Tensor3D): Tensor1D {
    return innerProduct(this.byGroup(Y), this.byGroup(N));
  }

  private byGroup(Y: Tensor3D): Tensor3D {
    return reshape(Y, [this.groups, -1, Y.shape[2]]);
  }

  private byPair(g: Tensor): Tensor3D {
    const { groups: b, rows: { examples: n, backprops: k } } = this;
    return reshape(g, [b * k * n, -1, this.dOut]);
  }
}

/** The columns of `K = A Aᵀ` by example, `n × [b, n·T, T]`: computed from the diagonal down, and above it transposed. */
function gramStrips(a: Tensor3D, n: number): Tensor3D[] {
  const [b, places, d] = a.shape;
  const T = places / n;
  const most = T * Math.max(1, Math.floor(MOST_VALUES / (b * places * T)));
  const blocks: { from: number; width: number; lower: Tensor3D }[] = []; // counted in places
  const strips: Tensor3D[] = [];
  for (let from = 0; from < places; from += most) {
    const width = Math.min(most, places - from);
    const lower: Tensor3D = tidy(() => {
      const below = slice(a, [0, from, 0], [b, places - from, d]);
      return matMul(below, slice(below, [0, 0, 0], [b, width, d]), false, true);
    });
    for (let at = from; at < from + width; at += T) {
      const above = (): Tensor3D[] =>
        blocks.map((block) =>
          transposeEach(slice(block.lower, [0, at - block.from, 0], [b, T, block.width]))
        );
      const below = (): Tensor3D => slice(lower, [0, 0, at - from], [b, places - from, T]);
      strips.push(tidy(() => concat([...above(), below()], 1)));
    }
    blocks.push({ from, width, lower });
  }
  dispose(blocks.map(({ lower }) => lower));
  return strips;
}
