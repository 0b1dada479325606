/**
 * The KPSVD methods replayed: what is averaged is F itself, formed whole, rearranged and decomposed.
 *
 * @module
 */
import { bestPair, type SymmetricPair } from "../../curvature/rearranged_svd.ts";
import {
  type Dense,
  eigh,
  kronecker,
  plus,
  product,
  rearrangement,
  shifted,
  solve,
  traceOf,
  transposed,
} from "../dense.ts";
import { type DenseBlock, fisherOf } from "../dense_fisher.ts";
import { average, type Factors, LayerReplay, piOf } from "./layer.ts";

/**
 * The KPSVD methods: pairs of the rearranged `ρ·(old terms) + (1 − ρ)·F_batch`, the first of them without the old second
 * term, so that it is positive semidefinite.
 */
export class TermsReplay extends LayerReplay {
  /** K-FAC's averages, where they are the first term. */
  #factors?: Factors;
  #terms: Factors[] = [];
  #apply!: (V: Dense) => Dense;

  constructor(
    damping: number,
    decay: number,
    private readonly rank: 1 | 2,
    private readonly isCorrected = false,
    private readonly floor = 0.05,
  ) {
    super(damping, decay);
  }

  protected async observe(block: DenseBlock, rho: number): Promise<void> {
    const { dIn, dOut, A, G } = block;
    const F = fisherOf(block);
    const products = this.#terms.map((term) => kronecker(term.G, term.A));
    const sumOf = (terms: Dense[]) =>
      terms.length > 0 ? terms.reduce((x, y) => plus(x, y)) : undefined;
    const mixed = average(sumOf(products), F, rho);
    const R = (F: Dense) => ({ matrix: rearrangement(F, dOut, dIn), dIn, dOut });
    if (this.isCorrected) {
      const before = this.#factors;
      this.#factors = { A: average(before?.A, A, rho), G: average(before?.G, G, rho) };
      const rest = plus(mixed, kronecker(this.#factors.G, this.#factors.A), -1);
      this.#terms = [this.#factors, termOf(await bestPair(R(rest)))];
      return;
    }
    const first = await bestPair(R(average(products[0], F, rho)));
    this.#terms = [termOf(first)];
    if (this.rank === 2) this.#terms.push(termOf(await bestPair(R(mixed), [first])));
  }

  protected async refresh({ dIn, dOut }: DenseBlock): Promise<void> {
    const [first, second] = this.#terms;
    const gamma = Math.sqrt(this.damping), pi = piOf(first.A, first.G);
    const [A, G] = [shifted(first.A, gamma * pi), shifted(first.G, gamma / pi)];
    if (!second) {
      this.#apply = (V) => solve(kronecker(G, A), V);
      return;
    }
    const [a, g] = await Promise.all([pencil(A, second.A), pencil(G, second.G)]);
    this.#apply = (V) => {
      const projected = product(product(transposed(g.K, dOut), V, dOut, dOut, dIn), a.K, dOut, dIn);
      const scaled = projected.map((x, at) =>
        x / Math.max(1 + g.s[Math.floor(at / dIn)] * a.s[at % dIn], this.floor)
      );
      return product(product(g.K, scaled, dOut, dOut, dIn), transposed(a.K, dIn), dOut, dIn);
    };
  }

  protected precondition(V: Dense): Dense {
    return this.#apply(V);
  }
}

/** `√σ u`, `√σ v` with tr u ≥ 0. */
function termOf({ u, v, sigma }: SymmetricPair): Factors {
  const root = Math.sqrt(sigma) * (traceOf(u) < 0 ? -1 : 1);
  return { A: v.map((x) => root * x), G: u.map((x) => root * x) };
}

/** `Kᵀ M K = I`, `Kᵀ N K = diag(s)`. */
async function pencil(M: Dense, N: Dense): Promise<{ K: Dense; s: Dense }> {
  const d = Math.sqrt(M.length);
  const { values, vectors } = await eigh(M);
  const root = vectors.map((x, at) => x / Math.sqrt(values[at % d])); // M^(−1/2) up to a turn
  const { values: s, vectors: P } = await eigh(
    product(product(transposed(root, d), N, d), root, d),
  );
  return { K: product(root, P, d), s };
}
