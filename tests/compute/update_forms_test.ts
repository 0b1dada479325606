/** Ways to the same update: every form of the curvature, shortcuts, powers, warm starts. */
import { ok } from "node:assert/strict";
import type { WireTensor } from "@/wire/mod.ts";
import { call, callLayer, numbers, refused, type RequestLayer, wire } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { type Dense, norm, product, solve } from "../support/dense.ts";
import { denseBlocks, fisherOf, gradientOf } from "../support/dense_fisher.ts";
import { convLayer, denseLayer } from "../support/layer_cases.ts";
import { gaussian } from "../support/matrices.ts";
import { mapped } from "../curvature/cells.ts";
import { expectClose, updateOf } from "../curvature/dense_oracle.ts";
import { withoutGradient } from "../curvature/golden_layers.ts";

const DAMPING = 0.3;
const layer = denseLayer({ n: 7, dIn: 4, dOut: 3, seed: 901 });
const conv = convLayer({ n: 7, channels: 2, filters: 3, image: [3, 3], kernel: [2, 2], seed: 902 });

cpuTest("every form of the curvature gives the update of the statistics", async (engine) => {
  for (const sent of [layer, conv]) {
    const statistics = withoutGradient(sent);
    const { inputs: _, output_gradients: _g, ...rest } = sent;
    const { A, G } = await callLayer(engine, "factors", statistics);
    const bases = await callLayer(engine, "eigenbases", { A, G });
    const { Q_A, Q_G, lambda_A, lambda_G } = bases;
    const { S } = await callLayer(engine, "scalings", { ...statistics, Q_A, Q_G });
    const { A_inv, G_inv } = await callLayer(engine, "inverses", { A, G }, { damping: DAMPING });
    const terms = await callLayer(engine, "kronecker-terms", statistics, {
      method: "kfac_corrected",
    });
    const { A_terms, G_terms } = terms;

    const damping = DAMPING;
    const kfac = await updateOf(engine, sent, { damping });
    const same = async (what: string, form: RequestLayer, expected: Dense, parameters: object) =>
      expectClose(
        what,
        await updateOf(engine, { ...rest, ...form }, { ...parameters }),
        expected,
        5e-5,
      );
    await same("factors", { A, G }, kfac, { damping });
    await same("inverses", { A_inv, G_inv }, kfac, {});
    await same("eigenbasis", { Q_A, Q_G, lambda_A, lambda_G }, kfac, { damping });
    const exact = await updateOf(engine, sent, { damping, damping_rule: "exact" });
    await same("eigenbasis, exact", { Q_A, Q_G, lambda_A, lambda_G }, exact, {
      damping,
      damping_rule: "exact",
    });
    const ekfac = await updateOf(engine, sent, { damping, method: "ekfac" });
    await same("scalings", { Q_A, Q_G, S }, ekfac, { damping });
    const corrected = await updateOf(engine, sent, { damping, method: "kfac_corrected" });
    await same("terms", { A_terms, G_terms }, corrected, { damping });
    const foof = await updateOf(engine, sent, { damping, method: "foof" });
    await same("A alone", { A }, foof, { damping, method: "foof" });
  }
});

cpuTest("a last S is averaged in by its decay", async (engine) => {
  const statistics = withoutGradient(layer);
  const { A, G } = await callLayer(engine, "factors", statistics);
  const { Q_A, Q_G } = await callLayer(engine, "eigenbases", { A, G });
  const { S } = await callLayer(engine, "scalings", { ...statistics, Q_A, Q_G });
  const last = mapped(S, (_, at) => at);
  const averaged = await callLayer(engine, "scalings", { ...statistics, Q_A, Q_G, S: last }, {
    decay: 0.75,
  });
  const expected = numbers(S).map((value, at) => 0.75 * at + 0.25 * value);
  expectClose("S", numbers(averaged.S), expected);
});

cpuTest("a warm start changes how eigenbases are found, not what they are", async (engine) => {
  const { A, G } = await callLayer(engine, "factors", withoutGradient(layer));
  const cold = await callLayer(engine, "eigenbases", { A, G });
  const drifted = mapped(A, (value, at) => at % 6 === 0 ? 1.01 * value : value);
  const known = { A: drifted, G, Q_A: cold.Q_A, Q_G: cold.Q_G };
  const warm = await callLayer(engine, "eigenbases", known);
  const fresh = await callLayer(engine, "eigenbases", { A: drifted, G });
  expectClose("eigenvalues", numbers(warm.lambda_A), numbers(fresh.lambda_A), 1e-5);
  const wrong = { A, G, Q_A: wire([3, 3], gaussian([3, 3], 1)) };
  await refused(callLayer(engine, "eigenbases", wrong), "invalid-tensor", { tensor: "Q_A" });
});

cpuTest("verify: full answers exact residuals of the same results", async (engine) => {
  const { A, G } = await callLayer(engine, "factors", withoutGradient(layer));
  const inverted = (verify: string) =>
    callLayer(engine, "inverses", { A, G }, { damping: 0.1, verify });
  const [estimate, full] = [await inverted("estimate"), await inverted("full")];
  expectClose("A_inv", numbers(full.A_inv), numbers(estimate.A_inv), 1e-7);
  const { residual } = (full.diagnostics as Record<string, { residual: number }>).A;
  const M = Float64Array.from(numbers(A)), X = Float64Array.from(numbers(full.A_inv));
  const pi = numbers(full.pi)[0], d = Math.sqrt(M.length);
  const damped = M.map((value, at) => value + (at % (d + 1) === 0 ? Math.sqrt(0.1) * pi : 0));
  const XM = product(X, damped, d);
  const exact = norm(XM.map((value, at) => value - Number(at % (d + 1) === 0))) / Math.sqrt(d);
  ok(Math.abs(residual - exact) <= 0.5 * exact + 1e-7, `residual ${residual}, exact ${exact}`);
});

cpuTest("Woodbury's form of a wide layer gives the factors' update", async (engine) => {
  // above 256 wide with fewer than half as many rows, kfac does not form A
  for (
    const sent of [
      denseLayer({ n: 24, dIn: 300, dOut: 5, seed: 911 }),
      denseLayer({ n: 8, s: 3, dIn: 280, dOut: 4, bias: false, layout: "io", seed: 912 }),
      denseLayer({ n: 20, dIn: 6, dOut: 270, seed: 913 }),
    ]
  ) {
    const { A, G } = await callLayer(engine, "factors", withoutGradient(sent));
    const { inputs: _, output_gradients: _g, ...rest } = sent;
    for (const parameters of [{}, { damping_rule: "plain" }, { pi: "frobenius" }, { pi: "off" }]) {
      const settings = { damping: DAMPING, ...parameters };
      const short = await updateOf(engine, sent, settings);
      const long = await updateOf(engine, { ...rest, A, G }, settings);
      expectClose(JSON.stringify(parameters), short, long, 1e-4);
    }
  }
});

cpuTest("mini-blocks of few examples give the update of their dense blocks", async (engine) => {
  for (const bias of [true, false]) {
    const wide = denseLayer({ n: 4, dIn: 12, dOut: 3, bias, seed: 921 });
    const [block] = denseBlocks(wide), F = fisherOf(block), D = Math.sqrt(F.length);
    const own = F.map((value, at) => {
      const rowOf = (index: number) => Math.floor(index / block.dIn);
      const damping = at % (D + 1) === 0 ? DAMPING : 0;
      return (rowOf(Math.floor(at / D)) === rowOf(at % D) ? value : 0) + damping;
    });
    const expected = solve(own, gradientOf(wide)[0]);
    expectClose(
      "update",
      await updateOf(engine, wide, { damping: DAMPING, method: "mbf" }),
      expected,
    );
  }
});

cpuTest("a power of any sign is that of the damped curvature", async (engine) => {
  const root = await updateOf(engine, layer, { damping: DAMPING, power: -0.5 });
  const twice = { ...layer, ...asGradient(root, layer) };
  const inverse = await updateOf(engine, layer, { damping: DAMPING });
  const applied = await updateOf(engine, twice, { damping: DAMPING, power: -0.5 });
  expectClose("two half inverses", applied, inverse, 1e-4);
  const back = { ...layer, ...asGradient(inverse, layer) };
  const forth = await updateOf(engine, back, { damping: DAMPING, power: 1 });
  expectClose("and back", forth, gradientOf(layer)[0], 1e-4);
});

cpuTest("what a method does not take is refused with what is offered", async (engine) => {
  for (
    const [parameters, pointer] of [
      [{ method: "kpsvd", damping_rule: "exact" }, "/damping_rule"],
      [{ method: "ekfac", damping_rule: "plain" }, "/damping_rule"],
      [{ method: "mbf", power: -0.5 }, "/power"],
      [{ method: "kfac_tridiagonal", power: -2 }, "/power"],
    ] as const
  ) {
    const work = call(engine, "updates", { layers: { l: layer }, damping: 1, ...parameters });
    await refused(work, "unsupported", { pointer });
  }
});

/** A vector `[d_out, d_in + 1]` as a layer's gradient. */
function asGradient(x: Dense, sent: RequestLayer): RequestLayer {
  const { shape } = sent.gradient as WireTensor, width = shape[1] + 1;
  return {
    gradient: wire(shape, x.filter((_, at) => at % width < shape[1])),
    bias_gradient: wire([shape[0]], x.filter((_, at) => at % width === shape[1])),
  };
}
