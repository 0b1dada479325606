/** K-FAC, FOOF, TKFAC and MBF replayed. @module */
import { type Dense, dot, inverse, kronecker, shifted, solve } from "../dense.ts";
import type { DenseBlock } from "../dense_fisher.ts";
import { average, factoredDamping, type Factors, LayerReplay, partialTraces } from "./layer.ts";

/** K-FAC, under each of its rules. */
export class KfacReplay extends LayerReplay {
  protected factors?: Factors;
  protected damped!: Dense;

  constructor(damping: number, decay: number, private readonly rule = "factored") {
    super(damping, decay);
  }

  protected observe({ A, G }: DenseBlock, rho: number): void {
    const { factors } = this;
    this.factors = { A: average(factors?.A, A, rho), G: average(factors?.G, G, rho) };
  }

  protected refresh(_block: DenseBlock): void {
    const { factors: { A, G } = {} as Factors, damping, rule } = this;
    this.damped = rule === "factored"
      ? factoredDamping(A, G, damping)
      : rule === "plain"
      ? kronecker(shifted(G, damping), shifted(A, damping))
      : shifted(kronecker(G, A), damping);
  }

  protected precondition(V: Dense): Dense {
    return solve(this.damped, V);
  }
}

/** FOOF: `V (A + λI)⁻¹`. */
export class FoofReplay extends KfacReplay {
  protected override refresh({ dOut }: DenseBlock): void {
    const one = shifted(new Float64Array(dOut * dOut), 1);
    this.damped = kronecker(one, shifted(this.factors!.A, this.damping));
  }
}

/** TKFAC: `(√δ Ψ + √λ I) ⊗ (√δ Φ + √λ I)` of the averages of δΦ, δΨ, δ. */
export class TkfacReplay extends KfacReplay {
  #delta?: Dense;

  protected override observe(block: DenseBlock, rho: number): void {
    const { deltaPhi, deltaPsi, delta } = partialTraces(block);
    super.observe({ ...block, A: deltaPhi, G: deltaPsi }, rho);
    this.#delta = average(this.#delta, delta, rho);
  }

  protected override refresh(): void {
    const [delta] = this.#delta!, { A, G } = this.factors!;
    const half = (M: Dense) => shifted(M.map((x) => x / Math.sqrt(delta)), Math.sqrt(this.damping));
    this.damped = kronecker(half(G), half(A));
  }
}

/** MBF: one block a neuron, `(E[g_o² a aᵀ] + λI)⁻¹` of each row. */
export class MbfReplay extends LayerReplay {
  #M?: Dense[];
  #solved!: Dense[];

  protected observe({ dIn, dOut, places, weight }: DenseBlock, rho: number): void {
    const batch = Array.from({ length: dOut }, (_, o) => {
      const M = new Float64Array(dIn * dIn);
      for (const { a: [a], g: [g] } of places) {
        M.forEach((x, at) =>
          M[at] = x + weight * g[o] ** 2 * a[Math.floor(at / dIn)] * a[at % dIn]
        );
      }
      return M;
    });
    this.#M = batch.map((M, o) => average(this.#M?.[o], M, rho));
  }

  protected refresh(): void {
    this.#solved = this.#M!.map((M) => inverse(shifted(M, this.damping)));
  }

  protected precondition(V: Dense, { dIn }: DenseBlock): Dense {
    return Float64Array.from(
      V,
      (_, at) => {
        const o = Math.floor(at / dIn), i = at % dIn;
        return dot(
          this.#solved[o].subarray(i * dIn, (i + 1) * dIn),
          V.subarray(o * dIn, (o + 1) * dIn),
        );
      },
    );
  }
}
