/**
 * A session of one layer replayed in float64, on dense matrices of D = d_out·d_in rows: what its updates should be.
 *
 *   S_k = ρ_k S_{k−1} + (1 − ρ_k) S_batch,   ρ_k = min(1 − 1/k, decay);   U = F̂_damped⁻¹ vec(∇)
 *
 * Read off math.md and api.md, section 4; nothing is shared with the product.
 *
 * @module
 */
import type { RequestLayer } from "../calls.ts";
import { type Dense, dot, kronecker, shifted, traceOf } from "../dense.ts";
import { type DenseBlock, denseBlocks, gradientOf } from "../dense_fisher.ts";

/** One layer of a session. */
export abstract class LayerReplay {
  protected k = 0;

  constructor(protected readonly damping: number, private readonly decay: number) {}

  /** Takes a batch, refreshes if that is due, and preconditions its gradient `[dOut, dIn]`. */
  async step(layer: RequestLayer, isDue: boolean): Promise<Dense> {
    const [block] = denseBlocks(layer);
    const rho = Math.min(1 - 1 / ++this.k, this.decay);
    await this.observe(block, rho);
    if (isDue) await this.refresh(block, rho);
    else this.track(block, rho);
    return this.precondition(gradientOf(layer)[0], block);
  }

  protected abstract observe(block: DenseBlock, rho: number): void | Promise<void>;
  protected abstract refresh(block: DenseBlock, rho: number): void | Promise<void>;
  protected abstract precondition(V: Dense, block: DenseBlock): Dense;
  protected track(_block: DenseBlock, _rho: number): void {}
}

/** `ρ x + (1 − ρ) y`. */
export function average(x: Dense | undefined, y: Dense, rho: number): Dense {
  return x ? y.map((value, at) => rho * x[at] + (1 - rho) * value) : y;
}

/** π of the traces. */
export function piOf(A: Dense, G: Dense): number {
  return Math.sqrt(traceOf(A) / Math.sqrt(A.length) / (traceOf(G) / Math.sqrt(G.length)));
}

/** `(G + √λ/π I) ⊗ (A + π√λ I)`. */
export function factoredDamping(A: Dense, G: Dense, damping: number): Dense {
  const gamma = Math.sqrt(damping), pi = piOf(A, G);
  return kronecker(shifted(G, gamma / pi), shifted(A, gamma * pi));
}

export interface Factors {
  readonly A: Dense;
  readonly G: Dense;
}

/** `δΦ = E[|g|² a aᵀ]`, `δΨ = E[|a|² g gᵀ]`, `δ = tr F`, of examples applied once. */
export function partialTraces({ places, weight, dIn, dOut }: DenseBlock) {
  const deltaPhi = new Float64Array(dIn * dIn), deltaPsi = new Float64Array(dOut * dOut);
  const delta = new Float64Array(1);
  for (const { a: [a], g: [g] } of places) {
    const aa = weight * dot(a, a), gg = weight * dot(g, g);
    deltaPhi.forEach((x, at) => deltaPhi[at] = x + gg * a[Math.floor(at / dIn)] * a[at % dIn]);
    deltaPsi.forEach((x, at) => deltaPsi[at] = x + aa * g[Math.floor(at / dOut)] * g[at % dOut]);
    delta[0] += aa * dot(g, g);
  }
  return { deltaPhi, deltaPsi, delta };
}
