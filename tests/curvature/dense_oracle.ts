/**
 * Every method on one layer against the dense Fisher block it approximates, in float64.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import { callLayer, numbers, type RequestLayer } from "../support/calls.ts";
import type { EngineTest } from "../support/cpu.ts";
import {
  type Dense,
  distance,
  dot,
  eigh,
  kronecker,
  norm,
  plus,
  product,
  shifted,
  solve,
  traceOf,
  transposed,
} from "../support/dense.ts";
import {
  type DenseBlock,
  denseBlocks,
  fisherOf,
  gradientOf,
  matricesOf,
} from "../support/dense_fisher.ts";
import { denseTerms, withoutGradient } from "./golden_layers.ts";
import { bestPair, rearranged, type SymmetricPair } from "./rearranged_svd.ts";

const LAMBDA = 0.3;

/** Checks of layers whose block is approximated by Kronecker products. */
export function kroneckerOracle(test: EngineTest, layers: Record<string, RequestLayer>): void {
  for (const [kind, layer] of Object.entries(layers)) {
    const blocks = denseBlocks(layer), V = gradientOf(layer);
    const each = (solution: (block: DenseBlock, V: Dense) => Dense) =>
      blocks.map((block, i) => solution(block, V[i]));
    const update = (engine: Engine, parameters: Record<string, unknown>) =>
      updateOf(engine, layer, { damping: LAMBDA, ...parameters });

    test(`factors of ${kind} are the means of outer products`, async (engine) => {
      const { A, G } = await callLayer(engine, "factors", withoutGradient(layer));
      expectClose("A", numbers(A), joined(blocks.map(({ A }) => A)));
      expectClose("G", numbers(G), joined(blocks.map(({ G }) => G)));
    });

    test(`kfac of ${kind} solves G ⊗ A damped by each rule`, async (engine) => {
      const exact = each(({ A, G }, V) => solve(shifted(kronecker(G, A), LAMBDA), V));
      expectClose("exact", await update(engine, { damping_rule: "exact" }), joined(exact));
      const plain = each(({ A, G }, V) =>
        solve(kronecker(shifted(G, LAMBDA), shifted(A, LAMBDA)), V)
      );
      expectClose("plain", await update(engine, { damping_rule: "plain" }), joined(plain));
      for (const pi of ["trace", "frobenius", "spectral", "off"]) {
        const factored = await Promise.all(blocks.map(async ({ A, G }, i) => {
          const ratio = await piOf(pi, A, G), gamma = Math.sqrt(LAMBDA);
          return solve(kronecker(shifted(G, gamma / ratio), shifted(A, gamma * ratio)), V[i]);
        }));
        expectClose(`factored, pi ${pi}`, await update(engine, { pi }), joined(factored));
      }
    });

    test(`kfac of ${kind} takes any power of the damped product`, async (engine) => {
      const roots = await Promise.all(blocks.map(async ({ A, G }, i) => {
        const { values, vectors } = await eigh(shifted(kronecker(G, A), LAMBDA));
        return spectralTimes(vectors, values.map((value) => value ** -0.5), V[i]);
      }));
      const parameters = { damping_rule: "exact", power: -0.5 };
      expectClose("power −1/2", await update(engine, parameters), joined(roots));
    });

    test(`ekfac of ${kind} measures diag(KᵀFK)`, async (engine) => {
      const statistics = withoutGradient(layer);
      const { A, G } = await callLayer(engine, "factors", statistics);
      const { Q_A, Q_G } = await callLayer(engine, "eigenbases", { A, G });
      const { S } = await callLayer(engine, "scalings", { ...statistics, Q_A, Q_G });
      const bases = blocks.map(({ dIn, dOut }, i) =>
        kronecker(part(numbers(Q_G), i, dOut * dOut), part(numbers(Q_A), i, dIn * dIn))
      );
      const moments = bases.map((K, i) => diagonalIn(K, fisherOf(blocks[i])));
      expectClose("S", numbers(S), joined(moments));
      const solved = bases.map((K, i) =>
        spectralTimes(K, moments[i].map((value) => 1 / (value + LAMBDA)), V[i])
      );
      expectClose("update", await update(engine, { method: "ekfac" }), joined(solved));
    });

    test(`kpsvd of ${kind} is the best Kronecker product, and two terms the best two`, async (engine) => {
      const R = blocks.map(rearranged);
      const first = await Promise.all(R.map((each) => bestPair(each)));
      const second = await Promise.all(R.map((each, i) => bestPair(each, [first[i]])));
      const squares = R.reduce((sum, { matrix }) => sum + dot(matrix, matrix), 0);
      const sigmas = (pairs: SymmetricPair[]) =>
        pairs.reduce((sum, { sigma }) => sum + sigma ** 2, 0);
      const terms = (method: string) =>
        callLayer(engine, "kronecker-terms", withoutGradient(layer), { method });

      const kpsvd = await terms("kpsvd");
      expectClose("kpsvd", sumOfTerms(kpsvd, blocks), joined(first.map(({ dense }) => dense)));
      expectError(kpsvd.relative_error, 1 - sigmas(first) / squares);
      const two = joined(first.map(({ dense }, i) => plus(dense, second[i].dense)));
      for (const method of ["deflation", "lanczos"]) {
        const found = await terms(method);
        expectClose(method, sumOfTerms(found, blocks), two, 1e-4);
        expectError(found.relative_error, 1 - (sigmas(first) + sigmas(second)) / squares);
      }
    });

    test(`kfac_corrected of ${kind} adds the best pair of what K-FAC leaves`, async (engine) => {
      const corrections = await Promise.all(blocks.map((block) => {
        const { A, G } = block;
        const known = { u: G, v: A, sigma: 1, dense: kronecker(G, A) };
        return bestPair(rearranged(block), [known]);
      }));
      const found = await callLayer(engine, "kronecker-terms", withoutGradient(layer), {
        method: "kfac_corrected",
      });
      const expected = blocks.map(({ A, G }, i) => plus(kronecker(G, A), corrections[i].dense));
      expectClose("terms", sumOfTerms(found, blocks), joined(expected), 1e-4);
    });

    test(`tkfac of ${kind} takes the partial traces of F`, async (engine) => {
      for (const tkfac_locations of ["exact", "independent"]) {
        const factors = blocks.map((block) => partialTraces(block, tkfac_locations === "exact"));
        const expected = factors.map(({ Phi, Psi, delta }, i) => {
          const damped = (M: Dense) =>
            shifted(M.map((value) => value / Math.sqrt(delta)), Math.sqrt(LAMBDA));
          return solve(kronecker(damped(Psi), damped(Phi)), V[i]);
        });
        const parameters = { method: "tkfac", tkfac_locations };
        expectClose(tkfac_locations, await update(engine, parameters), joined(expected));
      }
    });

    test(`mbf of ${kind} solves the diagonal blocks of F`, async (engine) => {
      const expected = each((block, V) =>
        solve(shifted(withinMiniBlocks(layer, block), LAMBDA), V)
      );
      expectClose("blocks", await update(engine, { method: "mbf" }), joined(expected));
    });

    test(`foof of ${kind} solves A + λI from the right`, async (engine) => {
      const { output_gradients: _, fisher: _f, backprops: _b, ...inputs } = layer;
      const expected = each(({ A, dOut, dIn }, V) =>
        transposed(solve(shifted(A, LAMBDA), transposed(V, dOut, dIn)), dIn, dOut)
      );
      const found = await updateOf(engine, inputs, { method: "foof", damping: LAMBDA });
      expectClose("update", found, joined(expected));
    });
  }
}

/** Checks of embeddings: their A is a diagonal. */
export function embeddingOracle(test: EngineTest, layers: Record<string, RequestLayer>): void {
  for (const [kind, layer] of Object.entries(layers)) {
    const [{ A, G, dIn, dOut }] = denseBlocks(layer), [V] = gradientOf(layer);
    const update = (engine: Engine, parameters: Record<string, unknown>) =>
      updateOf(engine, layer, { damping: LAMBDA, ...parameters });

    test(`factors of ${kind} are frequencies and a mean`, async (engine) => {
      const found = await callLayer(engine, "factors", withoutGradient(layer));
      expectClose("A", numbers(found.A_diagonal), A.filter((_, at) => at % (dIn + 1) === 0));
      expectClose("G", numbers(found.G), G);
    });

    test(`kfac and foof of ${kind} solve with the whole diagonal factor`, async (engine) => {
      const exact = solve(shifted(kronecker(G, A), LAMBDA), V);
      expectClose("exact", await update(engine, { damping_rule: "exact" }), exact);
      const plain = solve(kronecker(shifted(G, LAMBDA), shifted(A, LAMBDA)), V);
      expectClose("plain", await update(engine, { damping_rule: "plain" }), plain);
      for (const pi of ["trace", "frobenius", "spectral", "off"]) {
        const ratio = await piOf(pi, A, G), gamma = Math.sqrt(LAMBDA);
        const factored = solve(kronecker(shifted(G, gamma / ratio), shifted(A, gamma * ratio)), V);
        expectClose(`factored, pi ${pi}`, await update(engine, { pi }), factored);
      }
      const rows = solve(shifted(A, LAMBDA), transposed(V, dOut, dIn));
      expectClose("foof", await update(engine, { method: "foof" }), transposed(rows, dIn, dOut));
    });
  }
}

/** Checks of normalisation layers: every method keeps their block as it is. */
export function normalisationOracle(test: EngineTest, layers: Record<string, RequestLayer>): void {
  const methods = ["kfac", "ekfac", "kpsvd", "deflation", "lanczos", "kfac_corrected", "tkfac"];
  for (const [kind, layer] of Object.entries(layers)) {
    const [block] = denseBlocks(layer), [V] = gradientOf(layer);
    const d = block.dOut, isFull = layer.block === "full";
    const F = fisherOf(block).map((value, at) => isFull || at % (d + 1) === 0 ? value : 0);

    test(`factors of ${kind} are its block`, async (engine) => {
      const found = await callLayer(engine, "factors", withoutGradient(layer));
      const expected = isFull ? F : F.filter((_, at) => at % (d + 1) === 0);
      expectClose("F", numbers(found.F), expected);
    });

    test(`every method of independent layers solves the block of ${kind}`, async (engine) => {
      const expected = solve(shifted(F, LAMBDA), V);
      for (const method of [...methods, "tekfac", "mbf"]) {
        const found = await updateOf(engine, layer, { damping: LAMBDA, method });
        expectClose(method, found, expected);
      }
    });

    test(`the block of ${kind} can be sent as factors`, async (engine) => {
      const { inputs: _, output_gradients: _g, backprops: _b, fisher: _f, ...rest } = layer;
      const { F: found } = await callLayer(engine, "factors", withoutGradient(layer));
      const update = await updateOf(engine, { ...rest, F: found }, { damping: LAMBDA });
      expectClose("update", update, solve(shifted(F, LAMBDA), V));
    });
  }
}

/** Expects `‖x − y‖ ≤ tolerance·‖y‖`. */
export function expectClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance = 2e-5,
): void {
  const error = distance(actual, expected), size = norm(expected);
  ok(error <= tolerance * size, `${what}: error ${error} of ${size}, over ${tolerance} of it`);
}

/** The update of a layer, as the matrices of its blocks one after the other. */
export async function updateOf(
  engine: Engine,
  layer: RequestLayer,
  parameters: Record<string, unknown>,
): Promise<Dense> {
  const { update, bias_update } = await callLayer(engine, "updates", layer, parameters);
  const biases = bias_update === undefined ? undefined : numbers(bias_update);
  return joined(matricesOf(layer, numbers(update), biases));
}

/** π by its definition. */
export async function piOf(rule: string, A: Dense, G: Dense): Promise<number> {
  const size = async (M: Dense): Promise<number> => {
    const d = Math.sqrt(M.length);
    switch (rule) {
      case "trace":
        return traceOf(M) / d;
      case "frobenius":
        return norm(M) / Math.sqrt(d);
      case "spectral":
        return (await eigh(M)).values[d - 1];
      default:
        return 1;
    }
  };
  return Math.sqrt(await size(A) / await size(G));
}

/** `√(1 − explained)`, whose difference loses half the digits. */
function expectError(found: unknown, squared: number): void {
  const expected = Math.sqrt(Math.max(0, squared));
  ok(Math.abs(Number(found) - expected) <= 1e-5, `relative_error ${found}, expected ${expected}`);
}

/** `tr_out F`, `tr_in F` and `tr F`; or of F as if every place were an example of its own. */
function partialTraces(
  { gradients, places, weight, dIn, dOut }: DenseBlock,
  isExact: boolean,
): { Phi: Dense; Psi: Dense; delta: number } {
  const Phi = new Float64Array(dIn * dIn), Psi = new Float64Array(dOut * dOut);
  const rows = isExact
    ? gradients
    : places.flatMap(({ a, g }) => a.map((each, t) => outerProduct(g[t], each)));
  for (const P of rows) {
    for (let o = 0; o < dOut; o++) {
      for (let i = 0; i < dIn; i++) {
        const value = weight * P[o * dIn + i];
        for (let j = 0; j < dIn; j++) Phi[i * dIn + j] += value * P[o * dIn + j];
        for (let p = 0; p < dOut; p++) Psi[o * dOut + p] += value * P[p * dIn + i];
      }
    }
  }
  return { Phi, Psi, delta: traceOf(Phi) };
}

function outerProduct(u: Dense, v: Dense): Dense {
  return Float64Array.from(
    { length: u.length * v.length },
    (_, at) => u[Math.floor(at / v.length)] * v[at % v.length],
  );
}

/** F where both parameters are of one mini-block: an output's row, a filter of one input channel, a bias. */
function withinMiniBlocks(layer: RequestLayer, block: DenseBlock): Dense {
  const { dIn, dOut } = block, D = dIn * dOut;
  const isConv = layer.kind === "conv2d";
  const taps = isConv ? (layer.kernel_size as number[]).reduce((x, y) => x * y) : 0;
  const channels = isConv ? Math.floor(dIn / taps) : 1;
  const blockOf = (at: number) => {
    const [o, i] = [Math.floor(at / dIn), at % dIn];
    if (!isConv) return o;
    if (i === channels * taps) return -1 - o;
    return o * channels + (layer.layout === "hwio" ? i % channels : Math.floor(i / taps));
  };
  return fisherOf(block).map((value, at) =>
    blockOf(Math.floor(at / D)) === blockOf(at % D) ? value : 0
  );
}

/** `diag(KᵀMK)`. */
function diagonalIn(K: Dense, M: Dense): Dense {
  const D = Math.sqrt(M.length);
  const MK = product(M, K, D);
  return Float64Array.from({ length: D }, (_, j) => {
    let sum = 0;
    for (let i = 0; i < D; i++) sum += K[i * D + j] * MK[i * D + j];
    return sum;
  });
}

/** `K diag(values) Kᵀ v`. */
function spectralTimes(K: Dense, values: Dense, v: Dense): Dense {
  const D = values.length;
  const projected = product(transposed(K, D), v, D, D, 1).map((x, i) => x * values[i]);
  return product(K, projected, D, D, 1);
}

/** `Σ_r G_r ⊗ A_r` of each block of an answer. */
function sumOfTerms(answer: Record<string, unknown>, blocks: readonly DenseBlock[]): Dense {
  const rank = numbers(answer.singular_values).length / blocks.length;
  return joined(blocks.map(({ dIn, dOut }, i) => {
    const of = (field: string, d: number) => {
      const data = part(numbers(answer[field]), i, rank * d * d);
      return { dtype: "F32", shape: [rank, d, d], data: Float32Array.from(data) };
    };
    return denseTerms({ A_terms: of("A_terms", dIn), G_terms: of("G_terms", dOut) });
  }));
}

function part(values: ArrayLike<number>, index: number, size: number): Dense {
  return Float64Array.from(values).slice(index * size, (index + 1) * size);
}

export function joined(parts: readonly Dense[]): Dense {
  return Float64Array.from(parts.flatMap((each) => [...each]));
}
