/** EKFAC, EKFAC-ra and TEKFAC replayed. @module */
import { type Dense, eigh, product, transposed } from "../dense.ts";
import type { DenseBlock } from "../dense_fisher.ts";
import { average, type Factors, LayerReplay, partialTraces } from "./layer.ts";

/** EKFAC, and on TKFAC's averages TEKFAC: S tracked in the basis, turned into the next. */
export class EkfacReplay extends LayerReplay {
  #factors?: Factors;
  #basis?: { readonly A: Dense; readonly G: Dense };
  #S!: Dense;

  constructor(
    damping: number,
    private readonly s: number,
    private readonly of: "factors" | "traces",
    /** EKFAC-ra: S of the mean gradients, at a constant decay. */
    private readonly isOfGradients = false,
  ) {
    super(damping, s);
  }

  protected observe(block: DenseBlock, rho: number): void {
    const { deltaPhi, deltaPsi } = partialTraces(block);
    const { A, G } = this.of === "factors" ? block : { A: deltaPhi, G: deltaPsi };
    const old = this.#factors;
    this.#factors = { A: average(old?.A, A, rho), G: average(old?.G, G, rho) };
  }

  protected async refresh(block: DenseBlock, rho: number): Promise<void> {
    const { A, G } = this.#factors!;
    const [a, g] = await Promise.all([eigh(A), eigh(G)]);
    const basis = { A: a.vectors, G: g.vectors };
    const { dIn, dOut } = block;
    const old = this.#basis;
    const turn = (to: Dense, from: Dense, d: number) =>
      product(transposed(to, d), from, d).map((x) => x * x);
    const carried = old && product(
      product(turn(basis.G, old.G, dOut), this.#S, dOut, dOut, dIn),
      transposed(turn(basis.A, old.A, dIn), dIn),
      dOut,
      dIn,
    );
    this.#basis = basis;
    if (this.isOfGradients) {
      this.#S = carried ?? Float64Array.from(
        { length: dOut * dIn },
        (_, at) => g.values[Math.floor(at / dIn)] * a.values[at % dIn],
      );
    } else this.#S = average(carried, this.#secondMoments(block), rho);
  }

  protected override track(block: DenseBlock, rho: number): void {
    if (!this.isOfGradients) this.#S = average(this.#S, this.#secondMoments(block), rho);
  }

  protected precondition(V: Dense, block: DenseBlock): Dense {
    const { dIn, dOut, gradients } = block;
    const projected = this.#project(V, block);
    if (this.isOfGradients) {
      const batch = projected.map((x) => gradients.length * x * x);
      this.#S = average(this.#S, batch, this.s);
    }
    const scaled = projected.map((x, at) => x / (this.#S[at] + this.damping));
    const { A, G } = this.#basis!;
    return product(product(G, scaled, dOut, dOut, dIn), transposed(A, dIn), dOut, dIn);
  }

  #project(V: Dense, { dIn, dOut }: DenseBlock): Dense {
    const { A, G } = this.#basis!;
    return product(product(transposed(G, dOut), V, dOut, dOut, dIn), A, dOut, dIn);
  }

  #secondMoments(block: DenseBlock): Dense {
    const S = new Float64Array(block.dIn * block.dOut);
    for (const P of block.gradients) {
      this.#project(P, block).forEach((x, at) => S[at] += block.weight * x * x);
    }
    return S;
  }
}
