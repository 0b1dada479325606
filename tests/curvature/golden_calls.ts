/**
 * Golden cases that the stateless calls answer: how a case becomes requests, and an answer becomes its results.
 *
 * Dense layers are asked in both layouts. Where only the product of two factors is free of convention, A is scaled to the
 * expected norm and G inversely.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import type { WireTensor } from "@/wire/mod.ts";
import { call, callLayer, ids, numbers, wire } from "../support/calls.ts";
import { distance, norm, product, transposed } from "../support/dense.ts";
import { type GoldenCase, type GoldenTensor, tensorOf } from "../support/golden.ts";
import {
  byBackprop,
  type ConvParams,
  damped,
  dataOf,
  dense,
  denseTerms,
  fields,
  identities,
  type Layout,
  model,
  type Results,
  spectral,
  split,
  square,
  sum,
  updateOf,
  updatesOf,
  withoutGradient,
} from "./golden_layers.ts";

export type CallCase = (engine: Engine, golden: GoldenCase, layout: Layout) => Promise<Results>;

const PI: Record<string, string> = { tracenorm: "trace", none: "off" };
const piOf = (name: string) => PI[name] ?? name;

/** Cases by file. */
export const CALLS: Record<string, CallCase> = {
  async kfac_factors(engine, { inputs: { a, g }, params }) {
    const [n, k, dOut] = g.shape;
    const { A, G } = await callLayer(engine, "factors", {
      kind: "dense",
      bias: params.bias,
      inputs: tensorOf(a),
      output_gradients: wire([k, n, dOut], byBackprop(g)),
      fisher: "exact",
      backprops: k,
    });
    return { A: numbers(A), G: numbers(G) };
  },

  async kfac_damped_inverse(engine, { inputs: { A, G }, params }) {
    const layer = await callLayer(
      engine,
      "inverses",
      { A: tensorOf(A), G: tensorOf(G) },
      { damping: params.damping, pi: piOf(params.pi) },
    );
    return fields(layer, "A_inv", "G_inv", "pi");
  },

  async spd_inverse(engine, { inputs: { A }, params }) {
    const parameters = { damping: params.damping, damping_rule: "plain" };
    const layer = await callLayer(engine, "inverses", { A: tensorOf(A) }, parameters);
    return { inverse: numbers(layer.A_inv) };
  },

  async eigh(engine, { inputs: { A } }) {
    const layer = await callLayer(engine, "eigenbases", { A: tensorOf(A) });
    const d = A.shape[0], Q = Float64Array.from(numbers(layer.Q_A)), w = numbers(layer.lambda_A);
    const scaled = Q.map((value, at) => value * w[at % d]);
    return { eigenvalues: w, reconstruction: product(scaled, transposed(Q, d), d) };
  },

  async kfac_update(engine, { inputs: { A, G, dW }, params }, layout) {
    const layer = { ...dense(dW, false, layout), A: tensorOf(A), G: tensorOf(G) };
    const parameters = { ...damped(params), damping_rule: params.mode, pi: piOf(params.pi) };
    return { update: await updateOf(engine, layer, parameters) };
  },

  async kfac_weight_sharing(engine, { inputs: { a, g }, params, expected }) {
    const results: Results = {};
    for (const sharing of ["expand", "reduce"]) {
      const { A, G } = await callLayer(engine, "factors", {
        kind: "dense",
        bias: params.bias,
        sharing,
        inputs: tensorOf(a),
        output_gradients: tensorOf(g),
      });
      const ratio = norm(dataOf(expected[`A_${sharing}`].value)) / norm(numbers(A));
      results[`A_${sharing}`] = numbers(A).map((value) => value * ratio);
      results[`G_${sharing}`] = numbers(G).map((value) => value / ratio);
    }
    return results;
  },

  async kfc(engine, { inputs: { x, g, dW }, params, expected }) {
    const { kernel, stride, padding, dilation, groups, bias } = params as unknown as ConvParams;
    const [filters, columns] = dW.shape, features = columns - Number(bias);
    const description = {
      kind: "conv2d",
      kernel_size: kernel,
      strides: stride,
      padding: padding.map((side) => [side, side]),
      dilations: dilation,
      groups,
      bias,
    };
    const batch = { inputs: tensorOf(x), output_gradients: tensorOf(g) };
    const [weights, biases] = split(dW.data, features, bias);
    const gradient = {
      gradient: wire([filters, x.shape[1] / groups, ...kernel], weights),
      ...(bias ? { bias_gradient: wire([filters], biases) } : {}),
    };
    const { A, G } = await callLayer(engine, "factors", { ...description, ...batch });
    const ratio = norm(dataOf(expected.Omega.value)) / norm(numbers(A));
    const layer = { ...description, ...batch, ...gradient };
    const bases = await callLayer(engine, "eigenbases", { A, G });
    const { S } = await callLayer(engine, "scalings", {
      ...description,
      ...batch,
      Q_A: bases.Q_A,
      Q_G: bases.Q_G,
    });
    const perGroup = numbers(S).length / groups;
    return {
      Omega: numbers(A).map((value) => value * ratio),
      Gamma: numbers(G).map((value) => value / ratio),
      update_exact: await updateOf(engine, layer, { ...damped(params), damping_rule: "exact" }),
      ekfac_update: await updateOf(engine, layer, { ...damped(params), method: "ekfac" }),
      ekfac_trace: Array.from(
        { length: groups },
        (_, group) => sum(numbers(S).slice(group * perGroup, (group + 1) * perGroup)),
      ),
    };
  },

  async kfc_sua(engine, { inputs: { x }, params }) {
    const { kernel: [kh, kw], bias } = params as unknown as ConvParams;
    const { A } = await callLayer(engine, "factors", {
      kind: "conv2d",
      kernel_size: [kh, kw],
      bias,
      activations: "sua",
      inputs: tensorOf(x),
    });
    const T = (x.shape[2] - kh + 1) * (x.shape[3] - kw + 1);
    return { Omega_over_T: numbers(A).map((value) => value / T) };
  },

  async ekfac(engine, { inputs: { a, g, dW }, params }, layout) {
    const batch = { inputs: tensorOf(a), output_gradients: tensorOf(g) };
    const layer = { ...dense(dW, params.bias, layout), ...batch };
    const { A, G } = await callLayer(engine, "factors", withoutGradient(layer));
    const { Q_A, Q_G } = await callLayer(engine, "eigenbases", { A, G });
    const { S } = await callLayer(engine, "scalings", { ...withoutGradient(layer), Q_A, Q_G });
    const F = spectral(numbers(Q_G), numbers(S), numbers(Q_A));
    return {
      update: await updateOf(engine, layer, { ...damped(params), method: "ekfac" }),
      trace: [sum(numbers(S))],
      fro2: [norm(numbers(S)) ** 2],
      F_ekfac: F,
    };
  },

  async foof(engine, { inputs: { a, dW }, params }, layout) {
    const layer = { ...dense(dW, false, layout), inputs: tensorOf(a) };
    return { update: await updateOf(engine, layer, { ...damped(params), method: "foof" }) };
  },

  async mbf(engine, { inputs: { a, g, dW }, params }, layout) {
    const batch = { inputs: tensorOf(a), output_gradients: tensorOf(g) };
    const layer = { ...dense(dW, false, layout), ...batch };
    const of = (mbf_blocks: string) =>
      updateOf(engine, layer, { ...damped(params), method: "mbf", mbf_blocks });
    return { per_neuron: await of("per_neuron"), averaged: await of("averaged") };
  },

  /** Filters of one row over an image with a row an output: then `P[o, c] = x[c, o]`, any gradients at all. */
  async mbf_conv(engine, { inputs: { P, D }, params }) {
    const [n, filters, channels, taps] = P.shape;
    const pixels = Array.from({ length: P.data.length }, (_, at) => {
      const [rest, v] = [Math.floor(at / taps), at % taps];
      const [i, c, o] = [
        Math.floor(rest / (channels * filters)),
        Math.floor(rest / filters) % channels,
        rest % filters,
      ];
      return P.data[((i * filters + o) * channels + c) * taps + v];
    });
    const layer = {
      kind: "conv2d",
      bias: false,
      inputs: wire([n, channels, filters, taps], pixels),
      output_gradients: wire([n, filters, filters, 1], identities(n, filters)),
      gradient: wire([filters, channels, 1, taps], D.data),
    };
    return { update: await updateOf(engine, layer, { ...damped(params), method: "mbf" }) };
  },

  async embedding(engine, { inputs: { ids: tokens, g, D }, params }) {
    const description = { kind: "embedding", vocabulary: params.vocab };
    const batch = { inputs: ids(tokens.shape, tokens.data), output_gradients: tensorOf(g) };
    const { A_diagonal } = await callLayer(engine, "factors", { ...description, ...batch });
    const layer = { ...description, ...batch, gradient: tensorOf(D) };
    const { update, pi } = await callLayer(engine, "updates", layer, damped(params));
    return { A_diag: numbers(A_diagonal), update: numbers(update), pi: numbers(pi) };
  },

  async scale_and_shift(engine, { inputs: { xhat, dy, d }, params }) {
    const features = d.shape[0] / 2;
    const layer = (block: string) => ({
      kind: "scale_and_shift",
      features,
      block,
      inputs: tensorOf(xhat),
      output_gradients: tensorOf(dy),
    });
    const gradient = {
      gradient: wire([features], d.data.slice(0, features)),
      bias_gradient: wire([features], d.data.slice(features)),
    };
    const full = await callLayer(engine, "factors", layer("full"));
    const diagonal = await callLayer(engine, "factors", layer("diagonal"));
    const update = await updateOf(engine, { ...layer("full"), ...gradient }, damped(params));
    return { F_full: numbers(full.F), F_diag: numbers(diagonal.F), update_full: update };
  },

  async inverse_root(engine, { inputs: { A }, params }) {
    const parameters = { power: params.p, damping: params.epsilon };
    const layer = await callLayer(engine, "inverse-roots", { M: tensorOf(A) }, parameters);
    return { root: numbers(layer.M_root) };
  },

  async two_kron_solve(engine, { inputs: { A1, A2, G1, G2, dW }, params }, layout) {
    const sign = Number(params.sign);
    const pair = (x: GoldenTensor, y: GoldenTensor, factor: number) =>
      wire([2, ...x.shape], [...x.data, ...y.data.map((value) => factor * value)]);
    const layer = {
      ...dense(dW, false, layout),
      A_terms: pair(A1, A2, 1),
      G_terms: pair(G1, G2, sign),
    };
    const parameters = {
      floor: params.floor,
      damping: params.damping_first_pair,
      damping_rule: "plain",
      ...(params.mode === "plain" ? {} : { indefinite: params.mode }),
    };
    return { update: await updateOf(engine, layer, parameters) };
  },

  async kpsvd_update(engine, { inputs: { a, g, dW }, params, expected }, layout) {
    const approximation = params.approximation as string;
    const layer = {
      ...dense(dW, false, layout),
      inputs: tensorOf(a),
      output_gradients: tensorOf(g),
    };
    const parameters = { ...damped(params), floor: params.floor };
    if (approximation !== "rank2") {
      return { update: await updateOf(engine, layer, { ...parameters, method: approximation }) };
    }
    const deflation = await updateOf(engine, layer, { ...parameters, method: "deflation" });
    const lanczos = await updateOf(engine, layer, { ...parameters, method: "lanczos" });
    const { value, rel_fro_tol } = expected.update;
    const bound = 2 * rel_fro_tol * norm(dataOf(value));
    ok(distance(deflation, lanczos) <= bound, "lanczos and deflation differ");
    return { update: lanczos };
  },

  async kpsvd(engine, { inputs: { a, g, P }, expected }) {
    // given gradients P are those of a layer used dOut times, whose g at place o is the unit vector o
    const batch = P
      ? {
        inputs: tensorOf(P),
        output_gradients: wire(square(P), identities(P.shape[0], P.shape[1])),
      }
      : { inputs: tensorOf(a), output_gradients: tensorOf(g) };
    const layer = { kind: "dense", bias: false, tkfac_locations: "exact", ...batch };
    const methods = ["kfac", "ekfac", "kpsvd", "deflation", "kfac_corrected", "tkfac", "tekfac"];
    const { errors, spectrum_errors } = await callLayer(engine, "approximation-errors", layer, {
      methods,
      spectrum: true,
    }) as Record<string, Record<string, number>>;
    const terms = (method: string) => callLayer(engine, "kronecker-terms", layer, { method });
    const kpsvd = await terms("kpsvd"), deflation = await terms("deflation");
    const [sigma1, sigma2] = numbers(deflation.singular_values);
    const results: Results = {
      sigma1: [sigma1],
      sigma2: [sigma2],
      G1: numbers(kpsvd.G_terms),
      A1: numbers(kpsvd.A_terms),
      err_kpsvd: [errors.kpsvd],
      err_rank2: numbers(deflation.relative_error),
      err_tkfac: [errors.tkfac],
      err_tekfac: [errors.tekfac],
      spectrum_err_kpsvd: [spectrum_errors.kpsvd],
      rank1_dense: denseTerms(kpsvd),
      rank2_dense: denseTerms(await terms("lanczos")),
    };
    if (!P) { // of given gradients, the file takes their partial traces for K-FAC's factors
      const corrected = await terms("kfac_corrected");
      Object.assign(results, {
        sigma_corr: [numbers(corrected.singular_values)[1]],
        err_kfac: [errors.kfac],
        err_ekfac: [errors.ekfac],
        err_kfac_corrected: [errors.kfac_corrected],
        spectrum_err_kfac: [spectrum_errors.kfac],
        corrected_dense: denseTerms(corrected),
      });
    }
    return Object.fromEntries(Object.entries(results).filter(([key]) => key in expected));
  },

  async tkfac(engine, { inputs: { a, g, dW }, params }, layout) {
    const batch = { inputs: tensorOf(a), output_gradients: tensorOf(g) };
    const layer = { ...dense(dW, params.bias, layout), ...batch };
    return {
      update: await updateOf(engine, layer, { ...damped(params), method: "tkfac" }),
      tekfac_update: await updateOf(engine, layer, { ...damped(params), method: "tekfac" }),
    };
  },

  /** Two calls for the factors, as api.md tells PINN users; the homogeneous column is theirs. */
  async pinn(engine, { inputs: { Z, g, zb, gb, dW }, params }, layout) {
    const factors = (inputs: GoldenTensor, grads: GoldenTensor) =>
      callLayer(engine, "factors", {
        kind: "dense",
        bias: false,
        inputs: tensorOf(inputs),
        output_gradients: tensorOf(grads),
      });
    const interior = await factors(Z, g), boundary = await factors(zb, gb);
    const both = (field: "A" | "G") => {
      const { shape } = interior[field] as WireTensor;
      return wire([2, ...shape], [...numbers(interior[field]), ...numbers(boundary[field])]);
    };
    const layer = { ...dense(dW, false, layout), A_terms: both("A"), G_terms: both("G") };
    const parameters = { ...damped(params), damped_terms: "all", damping_rule: "plain" };
    const update = await updateOf(engine, layer, parameters);
    return {
      A_int: numbers(interior.A),
      B_int: numbers(interior.G),
      A_bnd: numbers(boundary.A),
      B_bnd: numbers(boundary.G),
      update: update.map((value) => -value), // Δ is the step, an update the preconditioned gradient
    };
  },

  async block_tridiagonal(engine, golden, layout) {
    const { layers, params } = model(golden, layout);
    const results = await updatesOf(engine, layers, {
      ...damped(params),
      method: "kfac_tridiagonal",
    });
    const factors = Object.fromEntries(
      Object.entries(layers).map(([name, layer]) => [name, withoutGradient(layer)]),
    );
    const { layers: answered } = await call(engine, "factors", { layers: factors });
    const known = Object.fromEntries(
      Object.entries(answered!).map(([name, { A, G }]) => [name, { A, G }]),
    );
    const damping = params.damping;
    const { layers: inverses } = await call(engine, "inverses", { layers: known, damping });
    return { ...results, pi: Object.values(inverses!).flatMap(({ pi }) => numbers(pi)) };
  },

  two_level(engine, golden, layout) {
    const { layers, params } = model(golden, layout);
    const { coarse_space } = params;
    return updatesOf(engine, layers, { ...damped(params), method: "kfac_two_level", coarse_space });
  },
};
