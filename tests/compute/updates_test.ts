/** What the calls say about a whole request: scales, products over layers, clips, steps. */
import { ok, strictEqual as equal } from "node:assert/strict";
import type { MethodName } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import type { Document, WireTensor } from "@/wire/mod.ts";
import { approximationOf } from "../support/approximations.ts";
import { call, callLayer, numbers, refused, type RequestLayer, wire } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { type Dense, dot, kronecker, norm, plus, product, solve } from "../support/dense.ts";
import { denseBlocks, fisherOf, gradientOf } from "../support/dense_fisher.ts";
import { convLayer, denseLayer, embeddingLayer } from "../support/layer_cases.ts";
import { logSpaced, withSpectrum } from "../support/matrices.ts";
import { mapped } from "../curvature/cells.ts";
import { expectClose, joined, updateOf } from "../curvature/dense_oracle.ts";
import { withoutGradient } from "../curvature/golden_layers.ts";

const DAMPING = 0.3;
const layer = denseLayer({ n: 7, dIn: 4, dOut: 3, seed: 901 });
const conv = convLayer({ n: 7, channels: 2, filters: 3, image: [3, 3], kernel: [2, 2], seed: 902 });
const MODEL: Record<string, RequestLayer> = { dense: layer, conv };

const half = (field: "gradient" | "bias_gradient", sent: RequestLayer) =>
  mapped(sent[field], (value) => value / 2);
/** The batch's own mean gradient in place of the layer's. */
function withMeanGradient(sent: RequestLayer): RequestLayer {
  const [{ gradients, dIn }] = denseBlocks(sent);
  const mean = gradients.reduce((x, y) => plus(x, y)).map((value) => value / gradients.length);
  const { shape } = sent.gradient as WireTensor;
  return {
    ...sent,
    gradient: wire(shape, mean.filter((_, at) => at % dIn !== dIn - 1)),
    bias_gradient: wire([shape[0]], mean.filter((_, at) => at % dIn === dIn - 1)),
  };
}

cpuTest(
  "gradient_scale multiplies the output gradients, and is echoed as a number",
  async (engine) => {
    const n = 7, plain = await callLayer(engine, "factors", withoutGradient(layer));
    equal(plain.gradient_scale, 1);
    for (const [gradient_scale, m] of [["mean", n], [2.5, 2.5], ["example", 1]] as const) {
      const scaled = await callLayer(engine, "factors", {
        ...withoutGradient(layer),
        gradient_scale,
      });
      equal(scaled.gradient_scale, m);
      expectClose("G", numbers(scaled.G), numbers(plain.G).map((value) => m * m * value));
      expectClose("A", numbers(scaled.A), numbers(plain.A));
    }
  },
);

cpuTest("the layer's word on scale and fisher wins over the request's", async (engine) => {
  const layers = {
    own: { ...withoutGradient(layer), gradient_scale: 3, fisher: "sampled" },
    other: withoutGradient(layer),
  };
  const answer = await call(engine, "factors", { layers, gradient_scale: 2, fisher: "exact" });
  const { own, other } = answer.layers!;
  equal(`${own.gradient_scale} ${own.fisher}`, "3 sampled");
  equal(`${other.gradient_scale} ${other.fisher}`, "2 exact");
});

cpuTest(
  "gradient_check is 1 at the right scale and says by how much a scale is wrong",
  async (engine) => {
    for (const sent of [layer, conv].map(withMeanGradient)) {
      const parameters = { damping: DAMPING };
      const right = await callLayer(engine, "updates", sent, parameters);
      ok(Math.abs(right.gradient_check as number - 1) < 1e-5, `${right.gradient_check}`);
      const wrong = await callLayer(
        engine,
        "updates",
        { ...sent, gradient_scale: "mean" },
        parameters,
      );
      ok(Math.abs(wrong.gradient_check as number - 7) < 1e-4, `${wrong.gradient_check}`);
    }
  },
);

cpuTest("a gradient_check beyond 10 % is warned of, one within is not", async (engine) => {
  const right = withMeanGradient(layer);
  const warnings = async (scale: number) => {
    const layers = { fc1: { ...right, gradient_scale: scale } };
    const answer = await call(engine, "updates", { layers, damping: DAMPING });
    return (answer.warnings as string[]).filter((warning) => warning.includes("fc1"));
  };
  equal((await warnings(1.05)).length, 0);
  equal((await warnings(0.95)).length, 0);
  equal((await warnings(1.2)).length, 1);
  equal((await warnings(7)).length, 1);
});

cpuTest("gradient_check is left out where it would mean nothing", async (engine) => {
  for (
    const without of [
      { ...layer, fisher: "sampled" },
      { ...layer, fisher: "exact", backprops: 1 },
      embeddingLayer({ n: 4, vocabulary: 3, dOut: 2, seed: 3 }),
    ]
  ) {
    const answer = await callLayer(engine, "updates", without, { damping: DAMPING });
    ok(!("gradient_check" in answer), `${without.kind} of ${without.fisher}`);
  }
});

cpuTest("inner_product and update_norm are over all layers", async (engine) => {
  const answer = await call(engine, "updates", { layers: MODEL, damping: DAMPING });
  const U = updatesOf(answer, MODEL), V = gradientsOf(MODEL);
  expectClose("inner_product", [answer.inner_product as number], [dot(U, V)]);
  expectClose("update_norm", [answer.update_norm as number], [norm(U)]);
});

cpuTest("kl_clip scales all layers by √(κ/(lr²·⟨U,∇⟩)), and never up", async (engine) => {
  const plain = await call(engine, "updates", { layers: MODEL, damping: DAMPING });
  const U = updatesOf(plain, MODEL), inner = plain.inner_product as number;
  const learning_rate = 0.1;
  for (const [kl_clip, active] of [[1e-3, true], [1e6, false]] as const) {
    const answer = await call(engine, "updates", {
      layers: MODEL,
      damping: DAMPING,
      kl_clip,
      learning_rate,
    });
    const nu = active ? Math.sqrt(kl_clip / (learning_rate ** 2 * inner)) : 1;
    ok(active ? nu < 1 : true);
    expectClose("kl_clip_factor", [answer.kl_clip_factor as number], [nu]);
    expectClose("updates", updatesOf(answer, MODEL), U.map((value) => nu * value));
    expectClose("inner_product", [answer.inner_product as number], [nu * inner]);
    expectClose("update_norm", [answer.update_norm as number], [nu * norm(U)]);
  }
  const request = { layers: MODEL, damping: DAMPING, kl_clip: 1e-3 };
  await refused(call(engine, "updates", request), "invalid-request", { pointer: "/learning_rate" });
});

cpuTest("a sweep with kl_clip clips each damping for itself", async (engine) => {
  const dampings = [0.1, 10], clip = { kl_clip: 1e-3, learning_rate: 0.1 };
  const sweep = await call(engine, "updates", { layers: MODEL, damping: dampings, ...clip });
  for (const [i, damping] of dampings.entries()) {
    const single = await call(engine, "updates", { layers: MODEL, damping, ...clip });
    expectClose(
      "kl_clip_factor",
      [(sweep.kl_clip_factor as number[])[i]],
      [single.kl_clip_factor as number],
    );
  }
});

for (const method of ["kfac", "ekfac", "tkfac", "deflation", "mbf", "kfac_two_level"]) {
  cpuTest(`quadratic_decrease of ${method} is ⟨g,u⟩ − ½⟨u,F̂u⟩ with F̂ undamped`, async (engine) => {
    const dampings = [0.1, 1];
    const answer = await call(engine, "updates", {
      layers: { l: layer },
      damping: dampings,
      method,
    });
    const { quadratic_decrease: decrease, inner_product: inner } = answer as unknown as Record<
      string,
      number[]
    >;
    const F̂ = await undamped(engine, method);
    for (const [i, damping] of dampings.entries()) {
      const U = await updateOf(engine, layer, { damping, method });
      const curvature = dot(U, product(F̂, U, U.length, U.length, 1));
      expectClose("decrease", [decrease[i]], [inner[i] - curvature / 2], 1e-3);
    }
  });
}

cpuTest("step_size answers the minimizer of the quadratic model of all layers", async (engine) => {
  const previous = Object.fromEntries(
    Object.entries(MODEL).map(([name, sent]) => [name, {
      ...sent,
      previous_update: half("gradient", sent),
      previous_bias_update: mapped(sent.bias_gradient, (_, at) => Math.sin(at)),
    }]),
  );
  const l2 = 0.05, c = DAMPING + l2;
  const step = { damping: DAMPING, step_size: "quadratic_model", l2 };
  const F = jointFisher(MODEL), g = gradientsOf(MODEL);
  const times = (x: Dense) => plus(product(F, x, x.length, x.length, 1), x, c);
  for (const layers of [MODEL, previous]) {
    const answer = await call(engine, "updates", { layers, ...step });
    const directions: Dense[] = [updatesOf(answer, MODEL).map((value) => -value)];
    if (layers === previous) directions.push(gradientsOf(asGradients(previous)));
    const m = directions.length;
    const Q = Float64Array.from(
      { length: m * m },
      (_, at) => dot(directions[Math.floor(at / m)], times(directions[at % m])),
    );
    const b = Float64Array.from(directions, (x) => dot(g, x));
    const weights = solve(Q, b.map((value) => -value));
    const { alpha, mu, predicted_change } = answer as Record<string, number>;
    expectClose("α, μ", [alpha, ...(m > 1 ? [mu] : [])], weights, 1e-4);
    if (m === 1) equal(mu, 0);
    expectClose("predicted_change", [predicted_change], [dot(b, weights) / 2], 1e-4);
    ok(predicted_change <= 0);
  }
});

cpuTest("step_size refuses what it cannot model, by layer", async (engine) => {
  const step = { damping: DAMPING, step_size: "quadratic_model" };
  const some = {
    ...MODEL,
    dense: { ...layer, previous_update: layer.gradient, previous_bias_update: layer.bias_gradient },
  };
  await refused(call(engine, "updates", { layers: some, ...step }), "invalid-request", {
    layer: "conv",
    tensor: "previous_update",
  });
  const { A, G } = await callLayer(engine, "factors", withoutGradient(layer));
  const { inputs: _, output_gradients: _g, ...rest } = layer;
  await refused(
    call(engine, "updates", { layers: { conv, known: { ...rest, A, G } }, ...step }),
    "invalid-request",
    { layer: "known" },
  );
});

cpuTest("a step of no layer, as all were skipped, has no size", async (engine) => {
  const broken: Record<string, unknown> = {
    ...layer,
    A: wire([2, 2], [-1, 0, 0, -1]),
    G: wire([1, 1], [1]),
  };
  const { inputs: _, output_gradients: _g, ...rest } = broken;
  const answer = await call(engine, "updates", {
    layers: { broken: rest },
    damping: DAMPING,
    step_size: "quadratic_model",
    on_error: "skip",
  });
  ok(answer.layers!.broken.error);
  equal(answer.alpha, undefined);
});

/** F̂ of one layer as `multiply` means it: two-level's is the Fisher itself. */
async function undamped(engine: Engine, method: string): Promise<Dense> {
  const [block] = denseBlocks(layer);
  if (method === "kfac") return kronecker(block.G, block.A);
  if (method === "kfac_two_level") return fisherOf(block);
  const [F̂] = await approximationOf(engine, layer, method as MethodName);
  return F̂;
}

/** The joint Fisher of a model, over all its layers. */
function jointFisher(model: Record<string, RequestLayer>): Dense {
  const blocks = Object.values(model).flatMap(denseBlocks);
  const pairs = blocks[0].gradients.map((_, i) => joined(blocks.map((b) => b.gradients[i])));
  const D = pairs[0].length, F = new Float64Array(D * D);
  for (const p of pairs) {
    for (let at = 0; at < D * D; at++) {
      F[at] += blocks[0].weight * p[Math.floor(at / D)] * p[at % D];
    }
  }
  return F;
}

function gradientsOf(model: Record<string, RequestLayer>): Dense {
  return joined(Object.values(model).flatMap(gradientOf));
}

/** The last updates of a model where its gradients stand. */
function asGradients(model: Record<string, RequestLayer>): Record<string, RequestLayer> {
  return Object.fromEntries(
    Object.entries(model).map(([name, sent]) => [name, {
      ...sent,
      gradient: sent.previous_update,
      bias_gradient: sent.previous_bias_update,
    }]),
  );
}

/** The updates of an answer as one vector. */
function updatesOf(
  answer: Document,
  model: Record<string, RequestLayer>,
): Dense {
  const layers = Object.fromEntries(
    Object.entries(model).map(([name, sent]) => [name, {
      ...sent,
      gradient: answer.layers![name].update,
      bias_gradient: answer.layers![name].bias_update,
    }]),
  );
  return gradientsOf(layers);
}

cpuTest("tkfac_locations may stand in a layer as in the request", async (engine) => {
  for (const method of ["tkfac", "tekfac"]) {
    const parameters = { method, damping: DAMPING };
    const inLayer = { ...conv, tkfac_locations: "exact" };
    const own = await callLayer(engine, "updates", inLayer, parameters);
    const whole = { ...parameters, tkfac_locations: "exact" };
    const all = await callLayer(engine, "updates", conv, whole);
    const independent = await callLayer(engine, "updates", conv, parameters);
    equal(String(numbers(own.update)), String(numbers(all.update)));
    ok(String(numbers(own.update)) !== String(numbers(independent.update)));
  }
});

cpuTest(
  "what K-FAC-reduce assumes is of its factors, not of the batch's gradient or F",
  async (engine) => {
    for (const sent of [conv, denseLayer({ n: 6, s: 3, dIn: 4, dOut: 3, seed: 905 })]) {
      const [expanded, reduced] = await Promise.all(
        ["expand", "reduce"].map((sharing) =>
          callLayer(engine, "updates", { ...withMeanGradient(sent), sharing }, {
            damping: DAMPING,
          })
        ),
      );
      for (const { gradient_check: check } of [expanded, reduced]) {
        ok(Math.abs(check as number - 1) < 1e-5, `${check}`);
      }
      ok(String(numbers(expanded.update)) !== String(numbers(reduced.update)));
      // along one given direction the model is of F itself
      const steps = await Promise.all(
        ["expand", "reduce"].map((sharing) =>
          call(engine, "updates", {
            layers: { l: { ...sent, sharing } },
            method: "foof",
            damping: 1e12, // U is nearly the gradient over 1e12, whatever the factors
            step_size: "quadratic_model",
          })
        ),
      );
      const [a, b] = steps.map(({ alpha }) => alpha as number);
      ok(Math.abs(a / b - 1) < 1e-4, `${a} and ${b}`);
    }
  },
);

for (const coarse_space of ["residual", "krylov_nicolaides", "nicolaides", "spectral"]) {
  cpuTest(
    `${coarse_space}: a row of zeros and rows that depend on each other add nothing`,
    async (engine) => {
      const one = {
        kind: "dense",
        bias: false,
        inputs: wire([3, 1], [1, 2, 3]),
        output_gradients: wire([3, 1], [1, -1, 2]),
      };
      const solve = async (gradient: number) => {
        const layers = { l: { ...one, gradient: wire([1, 1], [gradient]) } };
        const words = { method: "kfac_two_level", coarse_space, damping: 0.1 };
        const { layers: answered } = await call(engine, "updates", { layers, ...words });
        return numbers(answered!.l.update)[0];
      };
      equal(await solve(0), 0);
      // of one weight the coarse space is everything: U = ∇/(F + λ), F = mean (g a)²
      const exact = 1 / ((1 + 4 + 36) / 3 + 0.1);
      ok(Math.abs(await solve(1) - exact) < 1e-5 * exact, `${await solve(1)}, not ${exact}`);
    },
  );
}

cpuTest("lanczos answers two terms also where there is but one", async (engine) => {
  const one = {
    kind: "dense",
    bias: false,
    inputs: wire([1, 1], [1]),
    output_gradients: wire([1, 1], [2]),
  };
  const { layers } = await call(engine, "kronecker-terms", {
    layers: { l: one },
    method: "lanczos",
  });
  equal(String((layers!.l.A_terms as WireTensor).shape), "2,1,1");
  const [first, second] = numbers(layers!.l.singular_values);
  ok(Math.abs(first - 4) < 1e-5 && second === 0);
});

cpuTest(
  "inverses under a list of dampings are those under each, and judged as they are",
  async (engine) => {
    const d = 8;
    const A = wire([d, d], withSpectrum(logSpaced(d, 8), d));
    const inverses = (damping: number | number[]) =>
      callLayer(engine, "inverses", { A }, { damping, damping_rule: "plain" });
    const dampings = [1e-8, 1e-3, 1];
    const list = await inverses(dampings);
    const each = await Promise.all(dampings.map((damping) => inverses(damping)));
    equal(
      String(numbers(list.A_inv)),
      String(each.flatMap(({ A_inv }) => [...numbers(A_inv)])),
    );
    const { A: facts } = list.diagnostics as Record<string, Record<string, unknown>>;
    equal(facts.engine, "float64", "one of them was redone");
    const residuals = each.map(({ diagnostics }) =>
      (diagnostics as Record<string, Record<string, number>>).A.residual
    );
    equal(facts.residual, Math.max(...residuals));
  },
);
