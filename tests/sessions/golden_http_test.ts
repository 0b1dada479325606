/** The golden vectors of sessions, over HTTP. */
import { strictEqual as equal } from "node:assert/strict";
import { expectGolden, goldenCases, tensorOf } from "../support/golden.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { gpuTest } from "../support/gpu.ts";
import { tensorIn, values, withSessions } from "./support.ts";

/** The i-th matrix of a list. */
function at({ shape, data }: { shape: number[]; data: number[] }, i: number) {
  const size = shape[1] * shape[2];
  return values(shape.slice(1), data.slice(i * size, (i + 1) * size));
}

function suite(test: EngineTest): void {
  for (const golden of goldenCases("ema")) {
    test(`golden ${golden.id} is met by statistics`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        const { stream } = golden.inputs;
        await expect("POST", "", {
          id: "ema",
          layers: { fc: { kind: "dense", bias: false, d_in: 3, d_out: 1 } },
          damping: 1,
          decay: golden.params.cap,
        });
        for (let i = 0; i < stream.shape[0]; i++) {
          // its matrices are any, curvature is symmetric
          const { data } = at(stream, i);
          const A = values(
            [3, 3],
            data.map((_, j) => (data[j] + data[3 * (j % 3) + Math.floor(j / 3)]) / 2),
          );
          await expect("POST", "/ema/statistics", {
            layers: { fc: { A, G: values([1, 1], [1]) } },
          });
        }
        const answer = await expect("GET", "/ema/factors");
        equal(answer.layers!.fc.batches, stream.shape[0]);
        expectGolden(
          "A",
          tensorIn(answer, "fc", "A").data,
          golden.expected.ema,
          (x) => Array.from(x, (value, j) => (value + x[3 * (j % 3) + Math.floor(j / 3)]) / 2),
        );
      }));
  }

  for (const golden of goldenCases("ekfac_ra")) {
    test(`golden ${golden.id} is met by steps of gradients alone`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        const { A, G, grads } = golden.inputs;
        const { batch_size, alpha, damping } = golden.params;
        await expect("POST", "", {
          id: "ra",
          method: "ekfac",
          scalings: "batch_gradient",
          layers: { fc: { kind: "dense", bias: false } },
          damping,
          decay: alpha,
        });
        await expect("POST", "/ra/statistics", {
          layers: { fc: { A: tensorOf(A), G: tensorOf(G) } },
        });
        let answer = {};
        for (let i = 0; i < grads.shape[0]; i++) {
          answer = await expect("POST", "/ra/steps", {
            layers: { fc: { gradient: at(grads, i), samples: batch_size } },
          });
        }
        expectGolden("update", tensorIn(answer, "fc", "update").data, golden.expected.update);
        const S = tensorIn(await expect("GET", "/ra/preconditioner"), "fc", "S");
        expectGolden("m2_sum", [[...S.data].reduce((x, y) => x + y, 0)], golden.expected.m2_sum);
      }));
  }

  for (const golden of goldenCases("shampoo")) {
    test(`golden ${golden.id} is met by steps`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        const { grads } = golden.inputs;
        const { beta, epsilon, root } = golden.params;
        await expect("POST", "", {
          id: "sh",
          method: "shampoo",
          layers: { fc: { kind: "dense", bias: false } },
          damping: epsilon,
          decay: beta,
          root,
          refresh: { every: 1 },
        });
        let answer = {};
        for (let i = 0; i < grads.shape[0]; i++) {
          answer = await expect("POST", "/sh/steps", {
            layers: { fc: { gradient: at(grads, i) } },
          });
        }
        expectGolden("update", tensorIn(answer, "fc", "update").data, golden.expected.update);
        const factors = await expect("GET", "/sh/factors");
        for (const field of ["L", "R"]) {
          expectGolden(field, tensorIn(factors, "fc", field).data, golden.expected[field]);
        }
      }));
  }

  for (const golden of goldenCases("soap")) {
    test(`golden ${golden.id} is met by steps`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        const { W: start, grads } = golden.inputs;
        const { lr, b1, b2, sb, eps, wd, precondition_frequency: every } = golden.params;
        await expect("POST", "", {
          id: "soap",
          method: "soap",
          layers: { fc: { kind: "dense", bias: false } },
          damping: eps,
          decay: sb,
          beta1: b1,
          beta2: b2,
          refresh: { every },
        });
        const W = Float64Array.from(start.data);
        for (let i = 0; i < grads.shape[0]; i++) {
          const answer = await expect("POST", "/soap/steps", {
            layers: { fc: { gradient: at(grads, i) } },
          });
          const { data } = tensorIn(answer, "fc", "update");
          equal(answer.initialised, i === 0 ? true : undefined);
          if (i === 0) equal(data.some((value) => value !== 0), false);
          else {
            data.forEach((value, j) => W[j] -= lr * value);
            W.forEach((value, j) => W[j] -= lr * wd * value);
          }
        }
        expectGolden("W", W, golden.expected.W);
        expectGolden("delta_W", W.map((w, j) => w - start.data[j]), golden.expected.delta_W);
      }));
  }

  for (const golden of goldenCases("lm_lambda")) {
    test(`golden ${golden.id} is met by reports`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        const { shape, data } = golden.inputs.rows;
        const { omega1, T1 } = golden.params;
        const rows: number[] = [];
        await expect("POST", "", {
          id: "lm",
          layers: { fc: { kind: "dense" } },
          damping: { rule: "levenberg_marquardt", value: 1, decay: omega1, every: T1 },
        });
        for (let i = 0; i < shape[0]; i++) {
          const [loss_before, loss_after, predicted_change, value] = data.slice(4 * i);
          const rule = { rule: "levenberg_marquardt", value, decay: omega1, every: T1 };
          await expect("PATCH", "/lm", { damping: rule });
          const report = { loss_before, loss_after, predicted_change };
          const answer = await expect("POST", "/lm/reports", report);
          rows.push(answer.reduction_ratio as number, answer.damping as number);
        }
        expectGolden("rho_lambda", rows, golden.expected.rho_lambda);
      }));
  }
}

suite(cpuTest);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn));
