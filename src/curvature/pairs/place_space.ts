/**
 * The rearranged Fisher block of a layer that shares its weights, in the coordinates of its places.
 *
 * Every V that is an image of `Rᵀ` is `Σ_e A_eᵀ Y_e A_e`, with `A_e [T, d_in]` the rows of example e and `Y_e [T, T]` symmetric. With
 * the Gram matrix of all places, `K = A Aᵀ [nT, nT]`, a round of power iteration never forms it:
 *
 *   Rᵀ U ↔ Y_e = w Σ_k G_ke U G_keᵀ,   N_e = A_e V A_eᵀ = Σ_e' K_ee' Y_e' K_e'e,   R V = w Σ_ke G_keᵀ N_e G_ke
 *
 * That is `4 T (nT)²` operations in place of `4 nT d_in²`, once K is there. U stays a matrix. Of a running average
 * `ρ Σ_r G_r ⊗ A_r + (1 − ρ) F`, V has one coordinate c_r more for each term that stands for the past:
 *
 *   V = Σ_e A_eᵀ Y_e A_e + Σ_r c_r A_r,   Rᵀ U ↔ c_r = ρ ⟨G_r, U⟩,   R V gets ρ Σ_r m_r G_r with m_r = ⟨A_r, V⟩
 *
 * A term taken away is one more summand on either side. Coordinates `x = (Y, c)` and restrictions `x* = (N, m)`, both
 * `[b, 1, n·T² + terms]`, are dual: `⟨V, V'⟩ = x · x'*`.
 *
 * Source: the kernel form of Koroko et al. 2022, arXiv:2201.10285, section 3.1, for `P_i = Σ_t g_it a_itᵀ`.
 *
 * @module
 */
import {
  add,
  concat,
  dispose,
  expandDims,
  eye,
  fill,
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
  symmetrize,
} from "@/linalg/mod.ts";
import { gramStrips } from "./place_gram.ts";

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

/** A term `G ⊗ A`, A in coordinates. */
export interface PlacedTerm {
  /** `x [b, 1, n·T² + terms]`. */
  readonly x: Tensor3D;
  readonly G: Stack;
}

/** What stands for the past. */
interface Past {
  readonly terms: readonly { readonly A: Stack; readonly G: Stack }[];
  /** Of each in R; the batch has what they leave of one. */
  readonly rho: number;
  /** `⟨A_r, ·⟩` of all coordinates `[b, terms, n·T² + terms]`: `A_e A_r A_eᵀ` of every example, then `⟨A_r, A_s⟩`. */
  readonly forms: Tensor3D;
  /** How many of the terms are in R. */
  readonly count: number;
}

/** R(F), or R of a running average, less some terms. */
export class PlaceSpace {
  readonly groups: number;
  readonly dOut: number;
  /** T. */
  private readonly places: number;

  /** @param strips `K_e [b, n·T, T]`, the columns of each example. */
  private constructor(
    private readonly rows: PlaceRows,
    private readonly strips: readonly Tensor3D[],
    private readonly past: Past | null = null,
    private readonly removed: readonly PlacedTerm[] = [],
  ) {
    this.groups = rows.a.shape[0];
    this.dOut = rows.g.shape[2];
    this.places = rows.a.shape[1] / rows.examples;
  }

  /** Computes K; takes over the rows. */
  static of(rows: PlaceRows): PlaceSpace {
    return new PlaceSpace(rows, gramStrips(rows.a, rows.examples));
  }

  /** `ρ Σ_r G_r ⊗ A_r + (1 − ρ) F`; takes over this space, of a batch. The terms must outlive it. */
  mixedWith(terms: Past["terms"], rho: number): PlaceSpace {
    const forms = tidy(() =>
      concat(
        terms.map(({ A }) => {
          const withTerms = terms.map((other) => reshape(innerProduct(A, other.A), [-1, 1, 1]));
          return concat([this.flat(this.restrictedMatrix(A)), ...withTerms] as Tensor3D[], 2);
        }),
        1,
      )
    );
    return new PlaceSpace(this.rows, this.strips, { terms, rho, forms, count: terms.length });
  }

  /** The same without the past's terms but the first. It is disposed with the space it comes from. */
  ofFirstTerm(): PlaceSpace {
    return new PlaceSpace(this.rows, this.strips, this.past && { ...this.past, count: 1 });
  }

  /** R without one more term, which must outlive it. It is disposed with the space it comes from. */
  without(term: PlacedTerm): PlaceSpace {
    return new PlaceSpace(this.rows, this.strips, this.past, [...this.removed, term]);
  }

  /** x of `Rᵀ U`: `[b, d_out, d_out]` to `[b, 1, n·T² + terms]`. */
  adjoint(U: Stack): Tensor3D {
    const { groups: b, past, places: T, rows: { g, examples: n, backprops: k } } = this;
    return tidy(() => {
      const images = matMul(this.byPair(matMul(g, U)), this.byPair(g), false, true);
      const summed = k === 1 ? images : sum(reshape(images, [b, k, n * T * T]), 1);
      // an antisymmetric part, which rounding leaves, would make lengths negative
      const symmetric = symmetrize(reshape(summed, [b * n, T, T]));
      const Y = mul(this.flat(symmetric), this.batchWeight);
      const ofPast = (past?.terms ?? []).map(({ G }, r) =>
        reshape(mul(innerProduct(G, U), r < past!.count ? past!.rho : 0), [b, 1, 1])
      );
      return this.removed.reduce<Tensor3D>(
        (x, term) => sub(x, scaleEach(term.x, innerProduct(term.G, U))),
        concat([Y, ...ofPast] as Tensor3D[], 2),
      );
    });
  }

  /** x* of V, by its coordinates. */
  restriction(x: Tensor3D): Tensor3D {
    const { past } = this;
    return tidy(() => {
      const N = this.flat(this.restricted(this.byExample(x)));
      if (!past) return N;
      const { terms: { length }, forms } = past;
      const [b, , size] = x.shape;
      const c = slice(x, [0, 0, size - length], [b, 1, length]);
      const ofPast = matMul(c, slice(forms, [0, 0, 0], [b, length, size - length]));
      const m: Tensor3D = matMul(x, forms, false, true);
      return concat([add(N, ofPast) as Tensor3D, m], 2);
    });
  }

  /** U of `R V`, by the restriction of V. */
  image(dual: Tensor3D): Stack {
    const { groups: b, past, places: T, rows: { g, examples: n, backprops: k } } = this;
    return tidy(() => {
      const N = this.byExample(dual);
      const everyPair = k === 1 ? N : tile(reshape(N, [b, 1, n * T * T]), [1, k, 1]);
      const right = matMul(reshape(everyPair, [b * k * n, T, T]) as Tensor3D, this.byPair(g));
      const ofBatch: Stack = mul(
        symmetricProduct(g, reshape(right, g.shape), true),
        this.batchWeight,
      );
      const whole = (past?.terms.slice(0, past.count) ?? []).reduce<Stack>((U, { G }, r) => {
        const m = reshape(slice(dual, [0, 0, n * T * T + r], [b, 1, 1]), [b]) as Tensor1D;
        return add(U, scaleEach(G, mul(m, past!.rho)));
      }, ofBatch);
      return this.removed.reduce<Stack>(
        (U, term) => sub(U, scaleEach(term.G, innerProduct(term.x, dual))),
        whole,
      );
    });
  }

  /** U of `R V`, by the coordinates of V. */
  forward(x: Tensor3D): Stack {
    return tidy(() => this.image(this.restriction(x)));
  }

  /** K-FAC's A of the batch `[b, d_in, d_in]`. */
  inputFactor(): Stack {
    return gram(this.rows.a, this.rows.inputScale);
  }

  /** x of K-FAC's A, of a running average `ρ A_1 + (1 − ρ) A` of the batch. */
  inputCoordinates(): Tensor3D {
    const { groups: b, past, places: T, rows: { examples: n, inputScale } } = this;
    return tidy(() => {
      const identity: Tensor3D = mul(expandDims(eye(T), 0), inputScale * (1 - (past?.rho ?? 0)));
      const Y = this.flat(tile(identity, [b * n, 1, 1]));
      const ofPast = (past?.terms ?? []).map((_, r) => fill([b, 1, 1], r === 0 ? past!.rho : 0));
      return concat([Y, ...ofPast] as Tensor3D[], 2);
    });
  }

  /** `V = Σ_e A_eᵀ Y_e A_e + Σ_r c_r A_r [b, d_in, d_in]`. */
  matrixOf(x: Tensor3D): Stack {
    const { groups: b, past, places: T, rows: { a, examples: n } } = this;
    return tidy(() => {
      const rows: Tensor3D = reshape(a, [b * n, T, a.shape[2]]);
      const right = matMul(this.byExample(x), rows);
      return (past?.terms ?? []).reduce<Stack>((V, { A }, r) => {
        const c = reshape(slice(x, [0, 0, n * T * T + r], [b, 1, 1]), [b]) as Tensor1D;
        return add(V, scaleEach(A, c));
      }, symmetricProduct(a, reshape(right, a.shape), true));
    });
  }

  dispose(): void {
    dispose([this.rows.a, this.rows.g, ...this.strips, ...this.past ? [this.past.forms] : []]);
  }

  /** w, of a running average `(1 − ρ) w`. */
  private get batchWeight(): number {
    return this.rows.weight * (1 - (this.past?.rho ?? 0));
  }

  /** `A_e V A_eᵀ [b·n, T, T]` of every example, of `V = Σ_e A_eᵀ Y_e A_e`. */
  private restricted(Y: Tensor3D): Tensor3D {
    const { groups: b, places: T } = this;
    return tidy(() => {
      const restrictions = this.strips.map((strip) =>
        tidy(() => { // (Y_e' K_e'e)ᵀ K_e'e, over all e' in one sum
          const left = matMul(Y, reshape(strip, Y.shape) as Tensor3D);
          return matMul(reshape(left, strip.shape), strip, true);
        })
      );
      return reshape(stack(restrictions as Tensor[], 1), [b * restrictions.length, T, T]);
    });
  }

  /** `A_e M A_eᵀ [b·n, T, T]` of every example. */
  private restrictedMatrix(M: Stack): Tensor3D {
    const { groups: b, places: T, rows: { a, examples: n } } = this;
    const byExample = (rows: Tensor): Tensor3D => reshape(rows, [b * n, T, a.shape[2]]);
    return tidy(() => matMul(byExample(matMul(a, M)), byExample(a), false, true));
  }

  /** Y or N `[b·n, T, T]` of the vectors of coordinates. */
  private byExample(x: Tensor3D): Tensor3D {
    const { groups: b, places: T, rows: { examples: n } } = this;
    return tidy(() => reshape(slice(x, [0, 0, 0], [b, 1, n * T * T]), [b * n, T, T]));
  }

  /** `[b·n, T, T]` as `[b, 1, n·T²]`. */
  private flat(each: Tensor): Tensor3D {
    return reshape(each, [this.groups, 1, -1]);
  }

  private byPair(g: Tensor): Tensor3D {
    const { groups: b, rows: { examples: n, backprops: k } } = this;
    return reshape(g, [b * k * n, -1, this.dOut]);
  }
}
