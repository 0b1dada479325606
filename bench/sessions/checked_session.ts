/**
 * A session whose every answer is held against a replay of its statistics in float64.
 *
 *   A_k = ρ A_{k−1} + (1 − ρ) aᵀa/n,   ρ = min(1 − 1/k, decay),   U = (G + √λ/π I)⁻¹ V (A + π√λ I)⁻¹
 *
 * with A and G as they were when the preconditioner's statistics were taken: `age` steps before the answer.
 *
 * @module
 */
import { inverse, Matrix } from "ml-matrix";
import { isTensor, tensorOf, type WireTensor } from "@/wire/mod.ts";
import { send } from "./client.ts";

const [D_IN, D_OUT] = [96, 64];
const DECAY = 0.9, DAMPING = 0.1, EVERY = 5;
/** Of what float32 may differ by, relative to the norm: a solution's error grows with the condition, some 100 here. */
const UPDATE_TOLERANCE = 1e-4, FACTOR_TOLERANCE = 1e-5;
/** Steps that an answer may be of age, and more. */
const REMEMBERED = 64;

interface Averages {
  readonly A: Matrix;
  readonly G: Matrix;
}

export class CheckedSession {
  steps = 0;
  #history: Averages[] = [];
  /** Inverses of the averages that the last answers were made of, by their step. */
  #inverses: { step: number; A_inv: Matrix; G_inv: Matrix } | null = null;

  private constructor(private readonly url: string, readonly id: string) {}

  static async open(url: string, id: string, mode: "sync" | "async"): Promise<CheckedSession> {
    const layers = { fc: { kind: "dense", bias: false, d_in: D_IN, d_out: D_OUT } };
    const refresh = { every: EVERY, mode };
    await send(url, "", { id, layers, damping: DAMPING, decay: DECAY, refresh } as never);
    return new CheckedSession(url, id);
  }

  /** A step under a key. @throws Error where its answer is not the replay's. */
  async step(): Promise<void> {
    const n = this.steps % 3 === 0 ? 8 : 160; // less than what it leaves of the layer, and more
    const a = random(n, D_IN), g = random(n, D_OUT), V = random(D_OUT, D_IN);
    const answer = await send(this.url, `/${this.id}/steps`, {
      layers: { fc: { inputs: wire(a), output_gradients: wire(g), gradient: wire(V) } },
    });
    this.#take(a, g);
    if (answer.revision !== this.steps) {
      throw new Error(`${this.id}: step ${this.steps} is revision ${answer.revision}`);
    }
    const { A_inv, G_inv } = this.#inversesAt(this.steps - (answer.age as number));
    this.#expect("update", answer.layers!.fc.update, G_inv.mmul(V).mmul(A_inv), UPDATE_TOLERANCE);
  }

  /** Its averages. @throws Error where they are not the replay's. */
  async check(): Promise<void> {
    const response = await fetch(`${this.url}/v1/sessions/${this.id}/factors`);
    const { layers: { fc }, revision } = await response.json();
    if (revision !== this.steps) throw new Error(`${this.id}: revision ${revision}`);
    const { A, G } = this.#history.at(-1)!;
    for (const [name, expected] of [["A", A], ["G", G]] as const) {
      const actual = Float32Array.from((fc[name] as number[][]).flat());
      this.#expect(
        name,
        tensorOf([expected.rows, expected.columns], actual),
        expected,
        FACTOR_TOLERANCE,
      );
    }
  }

  async end(): Promise<void> {
    const response = await fetch(`${this.url}/v1/sessions/${this.id}`, { method: "DELETE" });
    if (!response.ok) throw new Error(await response.text());
    await response.body?.cancel();
  }

  #take(a: Matrix, g: Matrix): void {
    const k = ++this.steps;
    const rho = Math.min(1 - 1 / k, DECAY);
    const moved = (old: Matrix | undefined, x: Matrix) => {
      const batch = x.transpose().mmul(x).mul((1 - rho) / x.rows);
      return old ? batch.add(Matrix.mul(old, rho)) : batch;
    };
    const last = this.#history.at(-1);
    this.#history.push({ A: moved(last?.A, a), G: moved(last?.G, g) });
    this.#history.splice(0, this.#history.length - REMEMBERED);
  }

  #inversesAt(step: number) {
    if (this.#inverses?.step === step) return this.#inverses;
    const { A, G } = this.#history[this.#history.length - 1 - (this.steps - step)];
    const pi = Math.sqrt((A.trace() / D_IN) / (G.trace() / D_OUT));
    const damped = (M: Matrix, lambda: number) =>
      inverse(Matrix.add(M, Matrix.eye(M.rows).mul(lambda)));
    const root = Math.sqrt(DAMPING);
    return this.#inverses = { step, A_inv: damped(A, pi * root), G_inv: damped(G, root / pi) };
  }

  #expect(what: string, actual: unknown, expected: Matrix, tolerance: number): void {
    if (!isTensor(actual)) throw new Error(`${this.id}: no ${what}`);
    const difference = Matrix.sub(matrixOf(actual), expected).norm();
    const bound = tolerance * expected.norm();
    if (difference <= bound) return;
    throw new Error(
      `${this.id}, step ${this.steps}: ${what} is off by ${difference}, over ${bound}`,
    );
  }
}

/** Values that float32 has, so that both sides see the same. */
function random(rows: number, columns: number): Matrix {
  return new Matrix(
    Array.from(
      { length: rows },
      () => Array.from({ length: columns }, () => Math.fround(2 * Math.random() - 1)),
    ),
  );
}

function wire(matrix: Matrix): WireTensor {
  return tensorOf([matrix.rows, matrix.columns], Float32Array.from(matrix.to1DArray()));
}

function matrixOf({ shape: [rows, columns], data }: WireTensor): Matrix {
  return Matrix.from1DArray(rows, columns, data as never);
}
