/**
 * The ladder on which K-FAC is exact: deep linear nets with squared loss, and a single datum.
 *
 * Then `G ⊗ A` with the exact (type-2) Fisher is the generalized Gauss–Newton block itself, which is computed here in
 * float64 from the net's Jacobian by the chain rule.
 */
import { ok } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import { callLayer, numbers, type RequestLayer, wire } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import {
  type Dense,
  distance,
  kronecker,
  norm,
  product,
  shifted,
  solve,
} from "../support/dense.ts";
import { gaussian } from "../support/matrices.ts";
import { expectClose, updateOf } from "./dense_oracle.ts";
import { withoutGradient } from "./golden_layers.ts";

interface Net {
  /** `W_l [d_l+1, d_l (+1)]`, float32 values, the bias's column last. */
  readonly weights: readonly Dense[];
  readonly widths: readonly number[];
  readonly bias: boolean;
  readonly activation: (x: number) => number;
  /** Of the activation's value. */
  readonly slope: (x: number) => number;
}

const LINEAR = { activation: (x: number) => x, slope: () => 1 };
const TANH = { activation: Math.tanh, slope: (x: number) => 1 - Math.tanh(x) ** 2 };

const DAMPINGS = [1e-2, 1];

for (const bias of [true, false]) {
  const net = randomNet([4, 5, 3, 2], bias, LINEAR, 701);
  const kind = `deep linear net ${bias ? "with" : "without"} biases`;
  for (const l of [0, 1, 2]) {
    cpuTest(
      `K-FAC of layer ${l} of a ${kind} is the solve with its Gauss–Newton block`,
      (engine) => expectExact(engine, net, 9, l),
    );
  }
}

// one datum: A and G are of rank one, and the expectation of their product is the product
for (const l of [0, 1, 2]) {
  cpuTest(
    `K-FAC of layer ${l} of a tanh net is exact for a single datum`,
    (engine) => expectExact(engine, randomNet([3, 4, 4, 2], true, TANH, 711), 1, l),
  );
}

cpuTest("K-FAC of a tanh net is not exact for several data", async (engine) => {
  const net = randomNet([3, 4, 4, 2], true, TANH, 711);
  const { layer, ggn, V } = dissect(net, 9, 1);
  const found = await updateOf(engine, layer, { damping: 0.1, damping_rule: "exact" });
  const exact = solve(shifted(ggn, 0.1), V);
  ok(distance(found, exact) > 1e-2 * norm(exact), "the ladder cannot fail");
});

async function expectExact(engine: Engine, net: Net, n: number, l: number): Promise<void> {
  const { layer, ggn, V } = dissect(net, n, l);
  for (const damping of DAMPINGS) {
    const expected = solve(shifted(ggn, damping), V);
    const found = await updateOf(engine, layer, { damping, damping_rule: "exact" });
    expectClose(`kfac, damping ${damping}`, found, expected, 1e-4);
    const ekfac = await updateOf(engine, layer, { damping, method: "ekfac" });
    expectClose(`ekfac, damping ${damping}`, ekfac, expected, 1e-4);
  }
  const { A, G } = await callLayer(engine, "factors", withoutGradient(layer));
  const [a, g] = [A, G].map((factor) => Float64Array.from(numbers(factor)));
  expectClose("G ⊗ A", kronecker(g, a), ggn, 1e-5);
}

/** A layer's statistics with the loss's exact square root (the unit vectors), its Gauss–Newton block, a gradient. */
function dissect(net: Net, n: number, l: number): { layer: RequestLayer; ggn: Dense; V: Dense } {
  const { widths, bias } = net;
  const [dIn, dOut, C] = [widths[l], widths[l + 1], widths.at(-1)!];
  const columns = dIn + Number(bias), D = dOut * columns;
  const x = gaussian([n, widths[0]], 721);
  const inputs: number[] = [], grads = Array.from({ length: C }, () => [] as number[]);
  const ggn = new Float64Array(D * D);
  for (let i = 0; i < n; i++) {
    const pass = forward(net, x.subarray(i * widths[0], (i + 1) * widths[0]));
    inputs.push(...pass.inputs[l].slice(0, dIn));
    const J = jacobian(net, pass, l); // of the output by the layer's outputs, [C, dOut]
    for (let c = 0; c < C; c++) {
      const row = J.slice(c * dOut, (c + 1) * dOut);
      grads[c].push(...row);
      const p = Float64Array.from(
        { length: D },
        (_, at) => row[Math.floor(at / columns)] * pass.inputs[l][at % columns],
      );
      for (let at = 0; at < D * D; at++) ggn[at] += p[Math.floor(at / D)] * p[at % D] / n;
    }
  }
  const V = Float64Array.from(gaussian([D], 731));
  return {
    layer: {
      kind: "dense",
      bias,
      fisher: "exact",
      backprops: C,
      inputs: wire([n, dIn], inputs),
      output_gradients: wire([C, n, dOut], grads.flat()),
      gradient: wire([dOut, dIn], V.filter((_, at) => at % columns < dIn)),
      ...(bias ? { bias_gradient: wire([dOut], V.filter((_, at) => at % columns === dIn)) } : {}),
    },
    ggn,
    V,
  };
}

interface Pass {
  /** What each layer is given, the homogeneous 1 last. */
  readonly inputs: Dense[];
  /** What each layer gives, before the activation. */
  readonly outputs: Dense[];
}

function forward({ weights, widths, bias, activation }: Net, x: ArrayLike<number>): Pass {
  const inputs: Dense[] = [], outputs: Dense[] = [];
  let a = Float64Array.from(x);
  weights.forEach((W, l) => {
    if (l > 0) a = outputs[l - 1].map(activation);
    const full = Float64Array.from(bias ? [...a, 1] : a);
    inputs.push(full);
    outputs.push(product(W, full, widths[l + 1], full.length, 1));
  });
  return { inputs, outputs };
}

/** `∂ net / ∂ outputs[l] [C, d_l+1]`, by the chain rule from the end. */
function jacobian({ weights, widths, bias, slope }: Net, { outputs }: Pass, l: number): Dense {
  const C = widths.at(-1)!;
  let J: Dense = Float64Array.from({ length: C * C }, (_, at) => Number(at % (C + 1) === 0));
  for (let k = weights.length - 1; k > l; k--) {
    const columns = widths[k] + Number(bias);
    const back = product(J, weights[k], C, widths[k + 1], columns);
    J = Float64Array.from({ length: C * widths[k] }, (_, at) => {
      const [c, i] = [Math.floor(at / widths[k]), at % widths[k]];
      return back[c * columns + i] * slope(outputs[k - 1][i]);
    });
  }
  return J;
}

function randomNet(
  widths: number[],
  bias: boolean,
  activation: Pick<Net, "activation" | "slope">,
  seed: number,
): Net {
  const weights = widths.slice(1).map((dOut, l) =>
    Float64Array.from(gaussian([dOut * (widths[l] + Number(bias))], seed + l), (w) => w / 2)
  );
  return { weights, widths, bias, ...activation };
}
