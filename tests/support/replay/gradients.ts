/** Shampoo and SOAP replayed. @module */
import { type Dense, dot, eigh, norm, plus, product, transposed } from "../dense.ts";
import { average } from "./layer.ts";

/** Shampoo: `(L + εI)^(−1/p) D (R + εI)^(−1/p)`, L and R from 0. */
export class ShampooReplay {
  #L?: Dense;
  #R?: Dense;
  #roots!: { readonly L: Dense; readonly R: Dense };

  constructor(
    private readonly epsilon: number,
    private readonly beta: number,
    private readonly root = 4,
  ) {}

  async step(D: Dense, dOut: number, dIn: number, isDue: boolean): Promise<Dense> {
    const L = product(D, transposed(D, dOut, dIn), dOut, dIn, dOut);
    const R = product(transposed(D, dOut, dIn), D, dIn, dOut, dIn);
    this.#L = average(this.#L ?? new Float64Array(L.length), L, this.beta);
    this.#R = average(this.#R ?? new Float64Array(R.length), R, this.beta);
    if (isDue) {
      this.#roots = { L: await this.#inverseRoot(this.#L), R: await this.#inverseRoot(this.#R) };
    }
    return product(product(this.#roots.L, D, dOut, dOut, dIn), this.#roots.R, dOut, dIn);
  }

  async #inverseRoot(M: Dense): Promise<Dense> {
    const d = Math.sqrt(M.length);
    const { values, vectors } = await eigh(M);
    const scaled = vectors.map((x, at) => x * (values[at % d] + this.epsilon) ** (-1 / this.root));
    return product(scaled, transposed(vectors, d), d);
  }
}

/** SOAP, of square gradients: in the null space of a narrow one its basis is any. */
export class SoapReplay {
  #state?: { L: Dense; R: Dense; Q_L: Dense; Q_R: Dense; M: Dense; V: Dense };
  #t = 0;

  constructor(
    private readonly options: {
      readonly beta1: number;
      readonly beta2: number;
      readonly decay: number;
      readonly epsilon: number;
      readonly every: number;
    },
  ) {}

  /** The update of the next gradient `[d, d]`; zero of the first. */
  async step(D: Dense, d: number): Promise<Dense> {
    const { beta1, beta2, decay, epsilon, every } = this.options;
    const L = product(D, transposed(D, d), d), R = product(transposed(D, d), D, d);
    const zero = new Float64Array(d * d);
    if (!this.#state) {
      const [first, second] = [L, R].map((M) => M.map((x) => (1 - decay) * x));
      const [Q_L, Q_R] = await Promise.all(
        [first, second].map(async (M) => descending((await eigh(M)).vectors)),
      );
      this.#state = { L: first, R: second, Q_L, Q_R, M: zero, V: zero };
      return zero;
    }
    const t = ++this.#t;
    const { Q_L, Q_R } = this.#state;
    const projected = product(product(transposed(Q_L, d), D, d), Q_R, d);
    const M = average(this.#state.M, projected, beta1);
    const V = average(this.#state.V, projected.map((x) => x * x), beta2);
    const correction = Math.sqrt(1 - beta2 ** t) / (1 - beta1 ** t);
    const inBasis = M.map((x, at) => correction * x / (Math.sqrt(V[at]) + epsilon));
    const update = product(product(Q_L, inBasis, d), transposed(Q_R, d), d);
    this.#state = {
      L: average(this.#state.L, L, decay),
      R: average(this.#state.R, R, decay),
      Q_L,
      Q_R,
      M,
      V,
    };
    if (t % every === 0) this.#turn(d);
    return update;
  }

  #turn(d: number): void {
    const { L, R, Q_L, Q_R, M, V } = this.#state!;
    const M0 = product(product(Q_L, M, d), transposed(Q_R, d), d);
    const left = turnedBasis(L, Q_L, d), right = turnedBasis(R, Q_R, d);
    this.#state = {
      L,
      R,
      Q_L: left.Q,
      Q_R: right.Q,
      M: product(product(transposed(left.Q, d), M0, d), right.Q, d),
      V: Float64Array.from(
        V,
        (_, at) => V[left.order[Math.floor(at / d)] * d + right.order[at % d]],
      ),
    };
  }
}

/** Columns in reverse. */
function descending(Q: Dense): Dense {
  const d = Math.sqrt(Q.length);
  return Float64Array.from(Q, (_, at) => Q[at - at % d + d - 1 - at % d]);
}

/** `qr(M Q).Q` by Gram–Schmidt, columns in descending order of `diag(QᵀMQ)`. */
function turnedBasis(M: Dense, Q: Dense, d: number): { Q: Dense; order: number[] } {
  const MQ = product(M, Q, d);
  const column = (of: Dense, j: number) =>
    Float64Array.from({ length: d }, (_, i) => of[i * d + j]);
  const estimates = Array.from({ length: d }, (_, j) => dot(column(Q, j), column(MQ, j)));
  const order = estimates.map((_, j) => j).sort((i, j) => estimates[j] - estimates[i]);
  const basis: Dense[] = [];
  for (const j of order) {
    let x: Dense = column(MQ, j);
    for (let round = 0; round < 2; round++) {
      for (const q of basis) x = plus(x, q, -dot(q, x));
    }
    basis.push(x.map((value) => value / norm(x)));
  }
  return { Q: Float64Array.from(Q, (_, at) => basis[at % d][Math.floor(at / d)]), order };
}
