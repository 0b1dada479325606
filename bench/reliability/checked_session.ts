/**
 * A session whose every update is held against a float64 replay of K-FAC kept on this side.
 *
 *   A ← ρ A + (1 − ρ) aᵀa/n,  G likewise,  ρ = min(1 − 1/k, decay);   U = Ĝ⁻¹ ∇W Â⁻¹
 *
 * Â, Ĝ are the damped averages of the last refresh. A step that was not answered is asked again under
 * its idempotency key, so a step lost, or taken twice, shows in the revision and in every update after.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, sections 5 and 6.3.
 *
 * @module
 */
import { type Dense, product, transposed } from "../../tests/support/dense.ts";
import { gaussian } from "../../tests/support/matrices.ts";
import { compare, dampedInverses, refusal } from "./checked_call.ts";
import { type Answer, ask, json, JSON_HEADERS, parsed } from "./request.ts";
import type { Tally } from "./tally.ts";

const [EXAMPLES, D_IN, D_OUT] = [16, 6, 4];
const [DECAY, DAMPING, REFRESH_EVERY] = [0.9, 0.05, 4];

export class CheckedSession {
  #steps = 0;
  #A: Dense = new Float64Array(D_IN * D_IN);
  #G: Dense = new Float64Array(D_OUT * D_OUT);
  #inverses = { A_inv: this.#A, G_inv: this.#G };

  constructor(
    private readonly url: string,
    private readonly id: string,
    private readonly seed: number,
    private readonly tally: Tally,
  ) {}

  async open(): Promise<void> {
    const layers = { fc1: { kind: "dense", bias: false, d_in: D_IN, d_out: D_OUT } };
    const document = {
      id: this.id,
      method: "kfac",
      layers,
      damping: DAMPING,
      decay: DECAY,
      refresh: { every: REFRESH_EVERY },
    };
    const answer = await this.#change("POST", "", document, "open");
    this.tally.check(answer.status === 201 ? undefined : refusal(answer));
  }

  /** Takes a step and checks its update, version and revision. */
  async step(): Promise<void> {
    const k = ++this.#steps;
    const seed = 1000 * this.seed + 3 * k;
    const a = gaussian([EXAMPLES, D_IN], seed);
    const g = gaussian([EXAMPLES, D_OUT], seed + 1);
    const gradient = gaussian([D_OUT, D_IN], seed + 2);
    this.#observe(Float64Array.from(a), Float64Array.from(g));
    const isDue = (k - 1) % REFRESH_EVERY === 0;
    if (isDue) this.#inverses = dampedInverses(this.#A, this.#G, DAMPING);

    const shaped = (rows: number, data: Float32Array) => ({
      shape: [rows, data.length / rows],
      data: [...data],
    });
    const fc1 = {
      inputs: shaped(EXAMPLES, a),
      output_gradients: shaped(EXAMPLES, g),
      gradient: shaped(D_OUT, gradient),
    };
    const document = { fisher: "sampled", layers: { fc1 } };
    const answer = await this.#change("POST", `/${this.id}/steps`, document, `step-${k}`);
    this.tally.check(answer.status === 200 ? this.#fault(answer, gradient, k) : refusal(answer));
  }

  /** Holds the averages on the server against those here, if a step was taken, then ends it. */
  async close(): Promise<void> {
    if (this.#steps > 0) await this.#checkAverages();
    const ended = await this.#change("DELETE", `/${this.id}`, undefined, "close");
    this.tally.check(ended.status === 200 ? undefined : refusal(ended));
  }

  async #checkAverages(): Promise<void> {
    const asked = { method: "GET", path: `/v1/sessions/${this.id}/factors` };
    const answer = await ask(this.url, asked, this.tally);
    if (answer.status !== 200) this.tally.check(refusal(answer));
    else {
      const { A, G } = parsed(answer.body).layers.fc1;
      this.tally.check(
        compare("running A", A.flat(), this.#A) ?? compare("running G", G.flat(), this.#G),
      );
    }
  }

  #observe(a: Dense, g: Dense): void {
    const rho = Math.min(1 - 1 / this.#steps, DECAY);
    const averaged = (old: Dense, x: Dense, d: number) => {
      const batch = product(transposed(x, EXAMPLES, d), x, d, EXAMPLES, d);
      return old.map((value, at) => rho * value + (1 - rho) * batch[at] / EXAMPLES);
    };
    this.#A = averaged(this.#A, a, D_IN);
    this.#G = averaged(this.#G, g, D_OUT);
  }

  #fault(answer: Answer, gradient: Float32Array, k: number): string | undefined {
    const { layers, revision, version } = parsed(answer.body);
    if (revision !== k) return `step ${k} of ${this.id} has revision ${revision}`;
    const due = Math.ceil(k / REFRESH_EVERY);
    if (version !== due) return `step ${k} of ${this.id} has version ${version}, not ${due}`;
    const { A_inv, G_inv } = this.#inverses;
    const left = product(G_inv, Float64Array.from(gradient), D_OUT, D_OUT, D_IN);
    const right = product(left, A_inv, D_OUT, D_IN, D_IN);
    return compare(`update ${k} of ${this.id}`, layers.fc1.update.flat(), right);
  }

  #change(method: string, path: string, document: unknown, key: string): Promise<Answer> {
    const headers = { ...JSON_HEADERS, "idempotency-key": `${this.id}-${key}` };
    const body = document === undefined ? undefined : json(document);
    return ask(this.url, { method, path: `/v1/sessions${path}`, headers, body }, this.tally);
  }
}
