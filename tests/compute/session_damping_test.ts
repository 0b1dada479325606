/** λ of a session: changed by PATCH and by reports, with and without another factorization. */
import { ok, strictEqual as equal } from "node:assert/strict";
import type { Document } from "@/wire/mod.ts";
import { batch, DAMPING, LAYERS } from "../sessions/batches.ts";
import { type Client, tensorIn, withSessions } from "../sessions/support.ts";
import { call } from "../support/calls.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { distance, norm } from "../support/dense.ts";
import { gpuTest } from "../support/gpu.ts";

const NEXT = 7 * DAMPING;

const gradients = (step: number) =>
  Object.fromEntries(
    Object.entries(batch(step)).map(([name, { inputs: _, output_gradients: __, ...rest }]) => [
      name,
      rest,
    ]),
  );

function expectSame(actual: Document, expected: Document, what: string): void {
  for (const name of Object.keys(LAYERS)) {
    const [a, e] = [actual, expected].map((of) => tensorIn(of, name, "update").data);
    const error = distance(a, e) / norm(e);
    ok(error <= 1e-5, `${what}, ${name}: ${error}`);
  }
}

const create = ({ expect }: Client, id: string, more: Document) =>
  expect("POST", "", { id, layers: LAYERS, damping: DAMPING, ...more });

/** Methods whose forms take any λ, and some that hold theirs. */
const METHODS: Record<string, { session: Document; keepsBasis: boolean }> = {
  ekfac: { session: { method: "ekfac" }, keepsBasis: true },
  tekfac: { session: { method: "tekfac" }, keepsBasis: true },
  "kfac, exact": { session: { method: "kfac", damping_rule: "exact" }, keepsBasis: true },
  "kfac, factored": { session: { method: "kfac" }, keepsBasis: false },
  tkfac: { session: { method: "tkfac" }, keepsBasis: false },
  deflation: { session: { method: "deflation" }, keepsBasis: false },
  mbf: { session: { method: "mbf" }, keepsBasis: false },
};

function suite(test: EngineTest): void {
  test("another λ is that of a session made with it, at once where there is a basis, else with the refresh it makes due", (engine) =>
    withSessions(engine, async (client) => {
      const { expect } = client;
      for (const [name, { session, keepsBasis }] of Object.entries(METHODS)) {
        await create(client, "changed", { ...session, refresh: { every: null } });
        await create(client, "from-the-start", {
          ...session,
          damping: NEXT,
          refresh: { every: null },
        });
        for (const id of ["changed", "from-the-start"]) {
          await expect("POST", `/${id}/steps`, { layers: batch(0) });
        }
        await expect("PATCH", "/changed", { damping: NEXT });
        const [now, then] = [
          await expect("POST", "/changed/updates", { layers: gradients(1) }),
          await expect("POST", "/from-the-start/updates", { layers: gradients(1) }),
        ];
        equal(now.version, 1, name);
        if (keepsBasis) expectSame(now, then, name);
        else {ok(
            distance(tensorIn(now, "fc1", "update").data, tensorIn(then, "fc1", "update").data) > 0,
          );}
        const next = await expect("POST", "/changed/steps", { layers: batch(1) });
        equal(next.version, keepsBasis ? 1 : 2, name);
        if (!keepsBasis) {
          await expect("POST", "/from-the-start/statistics", { layers: statistics(1) });
          await expect("POST", "/from-the-start/refresh");
          const same = await expect("POST", "/from-the-start/updates", { layers: gradients(1) });
          expectSame(next, same, `${name}, refreshed`);
        }
        for (const id of ["changed", "from-the-start"]) await expect("DELETE", `/${id}`);
      }
    }));
}

const statistics = (step: number) =>
  Object.fromEntries(
    Object.entries(batch(step)).map(([name, { inputs, output_gradients }]) => [
      name,
      { inputs, output_gradients },
    ]),
  );

cpuTest(
  "reports move λ by the rule, the next step's model has it, and it survives the server",
  (engine) =>
    withSessions(engine, async (client) => {
      const { expect } = client;
      const rule = { rule: "levenberg_marquardt", value: DAMPING, decay: 0.9, every: 3 };
      const session = { method: "ekfac", decay: 0, refresh: { every: 1 } };
      await create(client, "s", { ...session, damping: rule });
      const model = { step_size: "quadratic_model", l2: 0.01 };
      const omega = 0.9 ** 3;
      let damping = DAMPING;
      // of the change that was foretold: all of it, half of it, a tenth, and one that left the numbers
      for (const [at, share] of [1, 0.5, 0.1, null].entries()) {
        const step = await expect("POST", "/s/steps", { layers: batch(at), ...model });
        if (at === 0) {
          const layers = Object.fromEntries(
            Object.entries(batch(0)).map((
              [name, layer],
            ) => [name, { ...LAYERS[name as "fc1"], ...layer }]),
          );
          const expected = await call(engine, "updates", {
            method: "ekfac",
            layers,
            damping,
            ...model,
          });
          ok(Math.abs(step.alpha as number / (expected.alpha as number) - 1) <= 1e-4);
        }
        const predicted_change = step.predicted_change as number;
        const report = await expect("POST", "/s/reports", {
          loss_before: 2,
          loss_after: share === null ? null : 2 + share * predicted_change,
          predicted_change,
        });
        damping *= [omega, 1, 1 / omega, 1 / omega][at];
        ok(Math.abs(report.damping as number / damping - 1) <= 1e-9, `${report.damping}`);
        if (share === null) equal(report.reduction_ratio, null);
        else ok(Math.abs(report.reduction_ratio as number - share) <= 1e-6);
      }
      await client.restart();
      equal((await expect("GET", "/s")).damping, damping);
      // the update is of the λ that the reports left
      const next = await expect("POST", "/s/updates", { layers: gradients(3) });
      await create(client, "fixed", { ...session, damping });
      await expect("POST", "/fixed/steps", { layers: batch(3) });
      expectSame(
        next,
        await expect("POST", "/fixed/updates", { layers: gradients(3) }),
        "after reports",
      );
    }),
);

cpuTest(
  "a report to a session whose λ does not adapt is refused",
  (engine) =>
    withSessions(engine, async (client) => {
      await create(client, "s", {});
      const report = { loss_before: 2, loss_after: 1, predicted_change: -1 };
      equal((await client.send("POST", "/s/reports", report)).status, 409);
    }),
);

cpuTest(
  "one clip holds for the whole model: a large layer scales the small one's update too",
  (engine) =>
    withSessions(engine, async (client) => {
      const { expect } = client;
      await create(client, "s", { kl_clip: 1e-3 });
      await expect("POST", "/s/steps", { layers: batch(0), learning_rate: 0.1 });
      const both = gradients(1);
      const alone = await expect("POST", "/s/updates", {
        layers: { fc2: both.fc2 },
        learning_rate: 0.1,
      });
      const together = await expect("POST", "/s/updates", { layers: both, learning_rate: 0.1 });
      const [nu, nuOfBoth] = [alone, together].map((answer) => answer.kl_clip_factor as number);
      ok(nuOfBoth < nu, `${nuOfBoth} is not below ${nu}`);
      const [one, other] = [alone, together].map((answer) =>
        tensorIn(answer, "fc2", "update").data
      );
      const scaled = Float64Array.from(one, (x) => x * nuOfBoth / nu);
      ok(distance(other, scaled) <= 1e-5 * norm(scaled));
      // ν² lr² Σ ⟨U, ∇⟩ is κ, and inner_product is of the clipped update
      const kl = 0.1 ** 2 * nuOfBoth * (together.inner_product as number);
      ok(Math.abs(kl / 1e-3 - 1) <= 1e-4, `${kl}`);
    }),
);

suite(cpuTest);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn));
