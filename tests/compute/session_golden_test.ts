/**
 * The golden vectors of a step's size, by steps of a session.
 *
 * The vectors give directions; a session makes its own. So it is given the curvature under which its update is the
 * vector's direction: FOOF's `A + λI` may be any matrix that is not less than λ.
 */
import { ok } from "node:assert/strict";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { type Dense, dot, eigh, product, shifted } from "../support/dense.ts";
import { expectGolden, goldenCases } from "../support/golden.ts";
import { gpuTest } from "../support/gpu.ts";
import { tensorIn, values, withSessions } from "../sessions/support.ts";

/** `u vᵀ·factor`. */
const outer = (u: Dense, v: Dense, factor: number): Dense =>
  Float64Array.from(
    { length: u.length * v.length },
    (_, at) => factor * u[Math.floor(at / v.length)] * v[at % v.length],
  );

const sum = (x: Dense, y: Dense): Dense => x.map((value, at) => value + y[at]);

/** A positive definite K with `K u = g`, for ⟨u, g⟩ > 0. */
function mapping(u: Dense, g: Dense): Dense {
  const along = dot(u, g), scale = dot(g, g) / along;
  const d = u.length;
  const across = sum(shifted(new Float64Array(d * d), scale), outer(u, u, -scale / dot(u, u)));
  return sum(outer(g, g, 1 / along), across);
}

function suite(test: EngineTest): void {
  for (const golden of goldenCases("kl_clip")) {
    test(`golden ${golden.id} is met by the clip of a session`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        const { g0, v0, g1, v1 } = golden.inputs;
        const { kappa, lr } = golden.params;
        const product = dot(g0.data, v0.data) + (g1 ? dot(g1.data, v1.data) : 0);
        await expect("POST", "", {
          id: "kl",
          layers: { fc: { kind: "dense", bias: false } },
          damping: 1,
          kl_clip: kappa,
        });
        const root = Math.sqrt(product); // its own update before any refresh: ⟨U, ∇⟩ is the vector's
        const answer = await expect("POST", "/kl/updates", {
          layers: { fc: { gradient: values([1, 1], [root]) } },
          before_refresh: "identity",
          learning_rate: lr,
        });
        const nu = answer.kl_clip_factor as number;
        expectGolden("nu", [nu], golden.expected.nu);
        const [update] = tensorIn(answer, "fc", "update").data;
        ok(Math.abs(update / (nu * root) - 1) <= 1e-6, "the update is clipped by it");
      }));
  }

  for (const golden of goldenCases("quadratic_model")) {
    test(`golden ${golden.id} is met by steps that choose their size`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        const { J, g, Delta, delta0 } = golden.inputs;
        const { lambda, eta, has_previous } = golden.params;
        const [n, D] = J.shape;
        const rows = Float64Array.from(J.data);
        await expect("POST", "", {
          id: "q",
          method: "foof",
          layers: { fc: { kind: "dense", bias: false, d_in: D, d_out: 1 } },
          damping: lambda,
          decay: 0,
          refresh: { every: null },
        });
        /** A step whose update is `K⁻¹ gradient`, on the vector's batch: its pairs are J's rows. */
        const step = async (K: Dense, gradient: ArrayLike<number>) => {
          const A = values([D, D], shifted(K, -lambda));
          await expect("POST", "/q/statistics", { layers: { fc: { A } } });
          await expect("POST", "/q/refresh");
          return await expect("POST", "/q/steps", {
            layers: {
              fc: {
                inputs: values([n, D], rows),
                output_gradients: values([n, 1], Array(n).fill(1)),
                gradient: values([1, D], gradient),
              },
            },
            step_size: "quadratic_model",
            l2: eta,
          });
        };
        if (has_previous) {
          // Q = F + (λ+η)I; from the gradient −Q δ₀ under Q itself the model likes a step of δ₀ best
          const F = Float64Array.from({ length: D * D }, (_, at) => {
            const i = Math.floor(at / D), j = at % D;
            let entry = 0;
            for (let row = 0; row < n; row++) entry += rows[row * D + i] * rows[row * D + j] / n;
            return entry;
          });
          const Q = shifted(F, Number(lambda) + Number(eta));
          const target = product(Q, Float64Array.from(delta0.data), D, D, 1).map((x) => -x);
          await step(Q, target);
        }
        const gradient = Float64Array.from(g.data), direction = Float64Array.from(Delta.data);
        const sign = Math.sign(dot(gradient, direction));
        const K = mapping(direction.map((x) => sign * x), gradient);
        const least = (await eigh(K)).values[0];
        const t = Math.min(1, least / (2 * lambda)); // a shorter update needs a larger K, not less than λ
        const answer = await step(K.map((x) => x / t), gradient);
        // αΔ = α'(−U), U = t·sign·Δ
        const alpha = -t * sign * (answer.alpha as number);
        expectGolden("alpha_mu", [alpha, answer.mu as number], golden.expected.alpha_mu);
        const change = answer.predicted_change as number;
        expectGolden("model_change", [change], golden.expected.model_change);
      }));
  }
}

suite(cpuTest);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn));
