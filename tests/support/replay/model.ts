/**
 * The methods that couple layers replayed, on dense matrices of the whole model.
 *
 * @module
 */
import type { RequestLayer } from "../calls.ts";
import { type Dense, dot, norm, plus, product, shifted, solve } from "../dense.ts";
import { type DenseBlock, denseBlocks, gradientOf } from "../dense_fisher.ts";
import { average, factoredDamping, type Factors } from "./layer.ts";

type Model = Readonly<Record<string, RequestLayer>>;

/** A model of dense layers. */
abstract class ModelReplay {
  #k = 0;
  #factors?: readonly Factors[];

  constructor(protected readonly damping: number, private readonly decay: number) {}

  /** Takes a batch, refreshes if that is due, and preconditions its gradients: `[dOut, dIn]` of each layer. */
  step(model: Model, isDue: boolean): Dense[] {
    const blocks = Object.values(model).map((layer) => denseBlocks(layer)[0]);
    const V = Object.values(model).flatMap((layer) => gradientOf(layer));
    const rho = Math.min(1 - 1 / ++this.#k, this.decay);
    const old = this.#factors;
    this.#factors = blocks.map(({ A, G }, l) => ({
      A: average(old?.[l].A, A, rho),
      G: average(old?.[l].G, G, rho),
    }));
    this.observe(blocks, rho);
    if (isDue) {
      this.refresh(this.#factors.map(({ A, G }) => factoredDamping(A, G, this.damping)), blocks);
    }
    const U = this.precondition(joined(V));
    return cut(U, V.map(({ length }) => length));
  }

  protected observe(_blocks: readonly DenseBlock[], _rho: number): void {}
  /** @param damped K-FAC of each layer. @param blocks the batch. */
  protected abstract refresh(damped: readonly Dense[], blocks: readonly DenseBlock[]): void;
  protected abstract precondition(V: Dense): Dense;
}

/** Block-tridiagonal K-FAC: the matrix whose inverse is block-tridiagonal, equal to the averages on its three diagonals. */
export class TridiagonalReplay extends ModelReplay {
  #cross?: readonly Factors[];
  #completed!: Dense;

  protected override observe(blocks: readonly DenseBlock[], rho: number): void {
    const old = this.#cross;
    this.#cross = blocks.slice(1).map((next, l) => {
      const { A, G } = crossFactors(blocks[l], next);
      return { A: average(old?.[l].A, A, rho), G: average(old?.[l].G, G, rho) };
    });
  }

  protected refresh(damped: readonly Dense[], blocks: readonly DenseBlock[]): void {
    const sizes = damped.map((M) => Math.sqrt(M.length));
    const D = sizes.reduce((x, y) => x + y);
    const starts = sizes.map((_, l) => sizes.slice(0, l).reduce((x, y) => x + y, 0));
    const cross = this.#cross!.map(({ A, G }, l) => rectangular(G, A, blocks[l], blocks[l + 1]));
    const F = new Float64Array(D * D);
    for (let q = 0; q < sizes.length; q++) {
      let block = damped[q];
      for (let p = q; p >= 0; p--) { // F_pq = F_p,p+1 F_p+1⁻¹ F_p+1,q
        if (p === q - 1) block = cross[p];
        else if (p < q) {
          const inner = solve(damped[p + 1], block);
          block = product(cross[p], inner, sizes[p], sizes[p + 1], sizes[q]);
        }
        block.forEach((value, at) => {
          const [i, j] = [starts[p] + Math.floor(at / sizes[q]), starts[q] + at % sizes[q]];
          F[i * D + j] = F[j * D + i] = value;
        });
      }
    }
    this.#completed = F;
  }

  protected precondition(V: Dense): Dense {
    return solve(this.#completed, V);
  }
}

/** Two-level K-FAC of Nicolaides' space: one row of ones a layer, the residual of the batch that was refreshed. */
export class TwoLevelReplay extends ModelReplay {
  #damped!: readonly Dense[];
  /** `F + λI` of the batch at the refresh. */
  #F!: Dense;

  protected refresh(damped: readonly Dense[], blocks: readonly DenseBlock[]): void {
    this.#damped = damped;
    const D = blocks.reduce((sum, { dIn, dOut }) => sum + dIn * dOut, 0);
    const F = new Float64Array(D * D);
    blocks[0].gradients.forEach((_, i) => {
      const p = joined(blocks.map(({ gradients }) => gradients[i]));
      F.forEach((value, at) =>
        F[at] = value + blocks[0].weight * p[Math.floor(at / D)] * p[at % D]
      );
    });
    this.#F = shifted(F, this.damping);
  }

  protected precondition(V: Dense): Dense {
    const sizes = this.#damped.map((M) => Math.sqrt(M.length)), D = V.length;
    const zeta = joined(cut(V, sizes).map((v, l) => solve(this.#damped[l], v)));
    const times = (x: Dense) => product(this.#F, x, D, D, 1);
    const residual = plus(V, times(zeta), -1);
    const rows = sizes.map((_, layer) => {
      const ones = joined(sizes.map((size, l) => new Float64Array(size).fill(Number(l === layer))));
      return ones.map((x) => x / norm(ones));
    });
    const m = rows.length;
    const coarse = Float64Array.from(
      { length: m * m },
      (_, at) => dot(rows[Math.floor(at / m)], times(rows[at % m])),
    );
    const beta = solve(coarse, Float64Array.from(rows, (c) => dot(c, residual)));
    return rows.reduce((U, c, l) => plus(U, c, beta[l]), zeta);
  }
}

/** `E[a a'ᵀ]` and `E[g g'ᵀ]` of neighbours. */
function crossFactors(x: DenseBlock, y: DenseBlock): Factors {
  const A = new Float64Array(x.dIn * y.dIn), G = new Float64Array(x.dOut * y.dOut);
  x.places.forEach(({ a: [a], g: [g] }, i) => {
    const { a: [b], g: [h] } = y.places[i];
    A.forEach((value, at) => A[at] = value + x.weight * a[Math.floor(at / y.dIn)] * b[at % y.dIn]);
    G.forEach((value, at) =>
      G[at] = value + x.weight * g[Math.floor(at / y.dOut)] * h[at % y.dOut]
    );
  });
  return { A, G };
}

/** `G ⊗ A` of rectangular factors. */
function rectangular(G: Dense, A: Dense, x: DenseBlock, y: DenseBlock): Dense {
  const columns = y.dIn * y.dOut;
  return Float64Array.from({ length: x.dIn * x.dOut * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const g = G[Math.floor(row / x.dIn) * y.dOut + Math.floor(column / y.dIn)];
    return g * A[(row % x.dIn) * y.dIn + column % y.dIn];
  });
}

function joined(parts: readonly Dense[]): Dense {
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

function cut(x: Dense, sizes: readonly number[]): Dense[] {
  let from = 0;
  return sizes.map((size) => x.slice(from, from += size));
}
