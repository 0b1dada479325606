/**
 * Stateless calls whose right answer is computed here, in float64, by other code than the server's.
 *
 * @module
 */
import {
  decodeDocument,
  type Document,
  encodeDocument,
  PLAIN_OUTPUT,
  tensorOf,
  type WireTensor,
} from "../../src/wire/mod.ts";
import {
  dot,
  inverse,
  norm,
  product,
  shifted,
  traceOf,
  transposed,
} from "../../tests/support/dense.ts";
import { gaussian } from "../../tests/support/matrices.ts";
import { joined } from "../../tests/wire/bytes.ts";
import {
  type Answer,
  type Asked,
  json,
  JSON_HEADERS,
  parsed,
  SAFETENSORS_HEADERS,
} from "./request.ts";

/** ‖found − right‖/‖right‖ that float32 may reach on these well-conditioned matrices. */
const TOLERANCE = 1e-4;

export interface CheckedCall {
  readonly asked: Asked;
  /** What is wrong with an answer; undefined where nothing is. */
  check(answer: Answer): string | undefined;
}

/** A call of one of four kinds, its sizes and values made from `seed`. */
export function checkedCall(seed: number): CheckedCall {
  const kinds = [inversesAsJson, inversesAsFile, inversesByProtocol, eigenbases, update];
  return kinds[seed % kinds.length](seed);
}

const NAME = "net.fc1";

/** `XᵀX/n + I/2` in float32 and, the same values, in float64. */
export function factor(d: number, seed: number): Float32Array<ArrayBuffer> {
  const x = Float64Array.from(gaussian([4 * d, d], seed));
  const gram = product(transposed(x, 4 * d, d), x, d, 4 * d, d);
  return Float32Array.from(shifted(gram.map((value) => value / (4 * d)), 0.5));
}

/** (A + π√λ I)⁻¹ and (G + √λ/π I)⁻¹, π² = (tr A/d_A)/(tr G/d_G). */
export function dampedInverses(A: Float64Array, G: Float64Array, damping: number) {
  const mean = (M: Float64Array) => traceOf(M) / Math.sqrt(M.length);
  const pi = Math.sqrt(mean(A) / mean(G));
  return {
    A_inv: inverse(shifted(A, Math.sqrt(damping) * pi)),
    G_inv: inverse(shifted(G, Math.sqrt(damping) / pi)),
  };
}

/** What is wrong with values that should be these. */
export function compare(
  what: string,
  found: ArrayLike<number>,
  right: ArrayLike<number>,
): string | undefined {
  if (found.length !== right.length) return `${what}: ${found.length} values, not ${right.length}`;
  const error = norm(Float64Array.from(right, (value, at) => value - found[at])) / norm(right);
  return error <= TOLERANCE ? undefined : `${what}: off by ${error.toExponential(1)}`;
}

function pair(seed: number) {
  const [dA, dG] = [4 + seed % 45, 3 + seed % 30];
  const [A, G] = [factor(dA, 2 * seed), factor(dG, 2 * seed + 1)];
  const damping = 0.01 + (seed % 7) / 100;
  const right = dampedInverses(Float64Array.from(A), Float64Array.from(G), damping);
  return { dA, dG, A, G, damping, right };
}

function checkInverses(
  layer: Record<string, ArrayLike<number>>,
  right: Record<string, Float64Array>,
) {
  return compare("A_inv", layer.A_inv, right.A_inv) ?? compare("G_inv", layer.G_inv, right.G_inv);
}

function inversesAsJson(seed: number): CheckedCall {
  const { dA, dG, A, G, damping, right } = pair(seed);
  const shaped = (d: number, data: Float32Array) => ({ shape: [d, d], data: [...data] });
  const document = { layers: { [NAME]: { A: shaped(dA, A), G: shaped(dG, G) } }, damping };
  return {
    asked: { method: "POST", path: "/v1/inverses", headers: JSON_HEADERS, body: json(document) },
    check(answer) {
      if (answer.status !== 200) return refusal(answer);
      const { A_inv, G_inv } = parsed(answer.body).layers[NAME];
      return checkInverses({ A_inv: A_inv.flat(), G_inv: G_inv.flat() }, right);
    },
  };
}

function inversesAsFile(seed: number): CheckedCall {
  const { dA, dG, A, G, damping, right } = pair(seed);
  const layers = { [NAME]: { A: tensorOf([dA, dA], A), G: tensorOf([dG, dG], G) } };
  return {
    asked: post("inverses", { layers, damping }),
    check(answer) {
      if (answer.status !== 200) return refusal(answer);
      const { A_inv, G_inv } = tensorsOf(answer);
      return checkInverses({ A_inv: A_inv.data, G_inv: G_inv.data }, right);
    },
  };
}

function inversesByProtocol(seed: number): CheckedCall {
  const { dA, dG, A, G, damping, right } = pair(seed);
  const inputs = Object.entries({ A: [dA, A], G: [dG, G] } as const).map(([field, [d, data]]) => ({
    name: `${NAME}.${field}`,
    datatype: "FP32",
    shape: [d, d],
    parameters: { binary_data_size: data.byteLength },
  }));
  const head = json({ inputs, parameters: { damping, binary_data_output: true } });
  const bytes = (data: Float32Array<ArrayBuffer>) => new Uint8Array(data.buffer);
  return {
    asked: {
      method: "POST",
      path: "/v2/models/inverses/infer",
      headers: { "inference-header-content-length": `${head.length}` },
      body: joined([head, bytes(A), bytes(G)]),
    },
    check(answer) {
      if (answer.status !== 200) return refusal(answer);
      const headBytes = Number(answer.headers.get("inference-header-content-length"));
      const values = new Float32Array(answer.body.slice(headBytes).buffer);
      const [A_inv, G_inv] = [values.slice(0, dA * dA), values.slice(dA * dA)];
      return checkInverses({ A_inv, G_inv }, right);
    },
  };
}

function eigenbases(seed: number): CheckedCall {
  const { dA, A } = pair(seed);
  return {
    asked: post("eigenbases", { layers: { [NAME]: { A: tensorOf([dA, dA], A) } } }),
    check(answer) {
      if (answer.status !== 200) return refusal(answer);
      const { Q_A, lambda_A } = tensorsOf(answer);
      const Q = Float64Array.from(Q_A.data);
      const scaled = Q.map((value, at) => value * lambda_A.data[at % dA]);
      const identity = shifted(new Float64Array(dA * dA), 1);
      const restored = product(scaled, transposed(Q, dA), dA);
      return compare("Q Λ Qᵀ", restored, A) ??
        compare("Q Qᵀ", product(Q, transposed(Q, dA), dA), identity);
    },
  };
}

function update(seed: number): CheckedCall {
  const { dA, dG, A, G, damping, right } = pair(seed);
  const gradient = gaussian([dG, dA], seed + 7);
  const layers = {
    [NAME]: {
      kind: "dense",
      bias: false,
      gradient: tensorOf([dG, dA], gradient),
      A: tensorOf([dA, dA], A),
      G: tensorOf([dG, dG], G),
    },
  };
  const left = product(right.G_inv, Float64Array.from(gradient), dG, dG, dA);
  const expected = product(left, right.A_inv, dG, dA, dA);
  return {
    asked: post("updates", { layers, damping }),
    check(answer) {
      if (answer.status !== 200) return refusal(answer);
      const { inner_product } = documentOf(answer) as { inner_product: number };
      return compare("update", tensorsOf(answer).update.data, expected) ??
        compare("⟨update, gradient⟩", [inner_product], [dot(expected, gradient)]);
    },
  };
}

function post(call: string, document: Document): Asked {
  const body = joined(encodeDocument(document, "safetensors", PLAIN_OUTPUT));
  return { method: "POST", path: `/v1/${call}`, headers: SAFETENSORS_HEADERS, body };
}

function documentOf({ body }: Answer): Document {
  return decodeDocument(body, "safetensors");
}

function tensorsOf(answer: Answer): Record<string, WireTensor> {
  return documentOf(answer).layers![NAME] as Record<string, WireTensor>;
}

/** An answer to a request that was right. */
export function refusal({ status, body }: Answer): string {
  return `refused with ${status}: ${new TextDecoder().decode(body).slice(0, 300)}`;
}
