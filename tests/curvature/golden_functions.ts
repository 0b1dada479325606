/**
 * Golden results that no stateless call answers, from the functions that compute them.
 *
 * @module
 */
import {
  dispose,
  matMul,
  squeeze,
  stack,
  type Tensor,
  tensor,
  tensor1d,
  tensor3d,
  tidy,
} from "@tensorflow/tfjs-core";
import {
  findCorrectedTerms,
  findLeadingTerm,
  findTermsByDeflation,
  klClipFactor,
  type MethodName,
  piOfFactors,
  quadraticStep,
  type Samples,
  type TermFinder,
  weightedProduct,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { symmetrize } from "@/linalg/mod.ts";
import { softmaxCrossEntropy } from "@/trainer/mod.ts";
import { hostSamples } from "../../src/curvature/host_samples.ts";
import { deflated, mixedStart, powerSvd, rearranged } from "../../src/curvature/pairs/power_svd.ts";
import { rootFactors, traceFactors } from "../../src/curvature/tkfac.ts";
import { approximationOf, withSamples } from "../support/approximations.ts";
import { type RequestLayer, wire } from "../support/calls.ts";
import {
  type Dense,
  distance,
  dot,
  kronecker,
  norm,
  plus,
  singularValues,
} from "../support/dense.ts";
import { denseBlocks, fisherOf } from "../support/dense_fisher.ts";
import { type GoldenCase, type GoldenTensor, tensorOf } from "../support/golden.ts";
import { identities, type Results } from "./golden_layers.ts";

export type FunctionCase = (engine: Engine, golden: GoldenCase) => Promise<Results>;

const RULE = { tolerance: 1e-6, maxIterations: 1000 };

/** Cases by file; where a file is in the calls too, both give their part. */
export const FUNCTIONS: Record<string, FunctionCase> = {
  async kl_clip(engine, { inputs: { g0, v0, g1, v1 }, params }) {
    const product = dot(g0.data, v0.data) + (g1 ? dot(g1.data, v1.data) : 0);
    const inner = tensor1d([product]);
    const factor = klClipFactor(inner, { kappa: params.kappa, learningRate: params.lr });
    const [nu] = await engine.read([factor]);
    inner.dispose();
    factor.dispose();
    return { nu };
  },

  quadratic_model(_, { inputs: { J, g, Delta, delta0 }, params }) {
    const [n, D] = J.shape;
    const along = ({ data }: GoldenTensor) =>
      Float32Array.from({ length: n }, (_, i) => dot(J.data.slice(i * D, (i + 1) * D), data));
    const curvature = (x: GoldenTensor, y: GoldenTensor) =>
      weightedProduct(along(x), along(y), 1 / n);
    const step = quadraticStep({
      gradientDirection: dot(g.data, Delta.data),
      directionSquared: dot(Delta.data, Delta.data),
      curvature: curvature(Delta, Delta),
      previous: params.has_previous
        ? {
          gradient: dot(g.data, delta0.data),
          squared: dot(delta0.data, delta0.data),
          direction: dot(Delta.data, delta0.data),
          curvature: curvature(delta0, delta0),
          crossCurvature: curvature(Delta, delta0),
        }
        : null,
    }, Number(params.lambda) + Number(params.eta));
    const { alpha, mu, predictedChange } = step;
    return Promise.resolve({ alpha_mu: [alpha, mu], model_change: [predictedChange] });
  },

  /** The client's: the square root is taken where the logits are. */
  async softmax_hessian_sqrt(engine, { inputs: { logits } }) {
    const results = tidy(() => {
      const z = tensor(logits.data, [1, ...logits.shape]);
      const { columns, column } = softmaxCrossEntropy();
      const of = Array.from({ length: columns(z.shape) }, (_, c) => squeeze(column(z, c), [0]));
      const S = stack(of, 1);
      return [S, matMul(S, S, false, true)];
    });
    const [S, H] = await engine.read(results);
    dispose(results);
    return { S, H };
  },

  async rearranged_matvec(engine, { inputs: { P, M, U } }) {
    // samples take symmetric matrices alone; of what is expected golden.ts compares the symmetric part
    const one = ({ shape: [d], data }: GoldenTensor) => symmetrize(tensor3d(data, [1, d, d]));
    const [forward, adjoint] = await withSamples<Samples>(engine, layerOf(P), (samples) => [
      samples.forward(one(M)),
      samples.adjoint(one(U)),
    ]);
    return { forward, adjoint };
  },

  tkfac_from_P: (engine, { inputs: { P } }) => traces(engine, layerOf(P)),

  tkfac: (engine, { inputs: { a, g }, params }) =>
    traces(engine, {
      kind: "dense",
      bias: params.bias,
      inputs: tensorOf(a),
      output_gradients: tensorOf(g),
    }),

  async kpsvd_update(engine, { inputs: { a, g }, params }) {
    const find: Record<string, TermFinder> = {
      kpsvd: findLeadingTerm,
      rank2: findTermsByDeflation,
      kfac_corrected: findCorrectedTerms,
    };
    const layer = {
      kind: "dense",
      bias: false,
      inputs: tensorOf(a),
      output_gradients: tensorOf(g),
    };
    const [pi] = await withSamples<Samples>(engine, layer, async (samples, linalg) => {
      const { terms: [{ A, G }] } = await find[params.approximation](samples, RULE, linalg);
      return [piOfFactors("trace", A, G)];
    });
    return { pi };
  },

  async kpsvd(engine, { inputs: { a, g, P }, expected }) {
    const layer = P ? layerOf(P) : {
      kind: "dense",
      bias: false,
      inputs: tensorOf(a),
      output_gradients: tensorOf(g),
    };
    const [block] = denseBlocks(layer);
    const F = fisherOf(block);
    const of = (name: MethodName) =>
      approximationOf(engine, layer, name, { tkfacLocations: "exact" }).then(([F̂]) => F̂);
    // of given gradients, the file takes their partial traces for K-FAC's factors
    const kfac = await of(P ? "tkfac" : "kfac");
    const kpsvd = await of("kpsvd"), rank2 = await of("deflation"), tkfac = await of("tkfac");
    const tekfac = await of("tekfac");
    const corrected = P ? await correctedTraces(engine, layer) : await of("kfac_corrected");
    const [G1, A1, ...sigmas] = await withSamples<Samples>(
      engine,
      layer,
      async (samples, linalg) => {
        const { terms: [first, second] } = await findTermsByDeflation(samples, RULE, linalg);
        const { terms: [, correction] } = await findCorrectedTerms(samples, RULE, linalg);
        return [first.G, first.A, first.sigma, second.sigma, correction.sigma];
      },
    );
    const [sigma1, sigma2, sigma_corr] = sigmas;
    const error = (F̂: Dense) => [distance(F, F̂) / norm(F)];
    const spectrum = await singularValues(F);
    const spectrumError = async (F̂: Dense) => [
      distance(spectrum, await singularValues(F̂)) / norm(spectrum),
    ];
    const results: Results = {
      sigma1,
      sigma2,
      G1,
      A1,
      err_kfac: error(kfac),
      err_ekfac: error(P ? tekfac : await of("ekfac")),
      err_kpsvd: error(kpsvd),
      err_rank2: error(rank2),
      err_kfac_corrected: error(corrected),
      err_tkfac: error(tkfac),
      err_tekfac: error(tekfac),
      spectrum_err_kfac: await spectrumError(kfac),
      spectrum_err_kpsvd: await spectrumError(kpsvd),
      fro_norm_F: [await normOnHost(engine, layer)],
      rank1_dense: kpsvd,
      rank2_dense: rank2,
      corrected_dense: corrected,
      F_dense: F,
      ...(P ? {} : { sigma_corr }),
    };
    return Object.fromEntries(Object.entries(results).filter(([key]) => key in expected));
  },
};

/** Expected results that are none of ours, by file, with the reason. */
export const OMITTED: Record<string, Record<string, string>> = {
  spd_inverse: { cond: "a fact about the input; diagnostics.condition is an estimate" },
  kpsvd: {
    err_diag: "there is no diagonal method",
    sigma_skew_max: "a fact about the input: second pairs are symmetric by their starts",
    sigma_corr:
      "of given gradients the file corrects partial traces, whose pair is in corrected_dense",
  },
  kl_clip: { vg_sum: "lr² Σ⟨v, g⟩, from the inputs alone" },
};

/** Any gradients `P [n, dOut, dIn]`: a dense layer used dOut times, whose g at place o is the unit vector o. */
function layerOf({ shape: [n, dOut, dIn], data }: GoldenTensor): RequestLayer {
  return {
    kind: "dense",
    bias: false,
    inputs: wire([n, dOut, dIn], data),
    output_gradients: wire([n, dOut, dOut], identities(n, dOut)),
    gradient: wire([dOut, dIn], new Float32Array(dOut * dIn)),
  };
}

/** δ, Φ, Ψ. */
async function traces(engine: Engine, layer: RequestLayer): Promise<Results> {
  const [inputs, grads, delta] = await withSamples<Samples>(engine, layer, (samples) => {
    const { deltaPhi, deltaPsi, delta } = traceFactors(samples, { tkfacLocations: "exact" });
    return [deltaPhi, deltaPsi, delta] as Tensor[];
  });
  const perDelta = (M: Dense) => M.map((value) => value / delta[0]);
  return { delta, Phi: perDelta(inputs), Psi: perDelta(grads) };
}

/** KFAC-CORRECTED on top of the partial traces. */
async function correctedTraces(engine: Engine, layer: RequestLayer): Promise<Dense> {
  const [A, G, A2, G2] = await withSamples<Samples>(engine, layer, async (samples, linalg) => {
    const first = rootFactors(traceFactors(samples, { tkfacLocations: "exact" }));
    const R = deflated(rearranged(samples), first);
    const { term } = await powerSvd(R, mixedStart(R), RULE, linalg);
    return [first.A, first.G, term.A, term.G];
  });
  return plus(kronecker(G, A), kronecker(G2, A2));
}

/** `‖F‖` as the error measure computes it. */
async function normOnHost(engine: Engine, layer: RequestLayer): Promise<number> {
  let squares = 0;
  await withSamples<Samples>(engine, layer, async (samples) => {
    const blocks = await hostSamples(samples, engine.float64, (tensors) => engine.read(tensors));
    squares = blocks.reduce((total, block) => total + block.squaredNorm(), 0);
    return [];
  });
  return Math.sqrt(squares);
}
