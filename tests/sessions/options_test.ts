/** What a session's options do to its steps: clip, quadratic model, drift, λ without a refresh, who may be absent. */
import { ok, strictEqual as equal } from "node:assert/strict";
import type { WireTensor } from "@/wire/mod.ts";
import { call } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { distance, norm } from "../support/dense.ts";
import { batch, DAMPING, LAYERS } from "./batches.ts";
import { tensorIn, withSessions } from "./support.ts";

const described = (step: number) =>
  Object.fromEntries(
    Object.entries(batch(step)).map((
      [name, layer],
    ) => [name, { ...LAYERS[name as "fc1"], ...layer }]),
  );

const near = (actual: unknown, expected: unknown, bound = 1e-5) =>
  ok(
    Math.abs(actual as number - (expected as number)) <= bound * Math.abs(expected as number),
    `${actual} is not ${expected}`,
  );

cpuTest(
  "kl_clip scales a step as the stateless call does, and needs a learning rate",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      const kl = { kl_clip: 1e-4, learning_rate: 0.3 };
      await expect("POST", "", { id: "s", layers: LAYERS, damping: DAMPING, kl_clip: kl.kl_clip });
      equal((await send("POST", "/s/steps", { layers: batch(0) })).status, 422);
      const actual = await expect("POST", "/s/steps", { layers: batch(0), learning_rate: 0.3 });
      const expected = await call(engine, "updates", {
        layers: described(0),
        damping: DAMPING,
        ...kl,
      });
      near(actual.kl_clip_factor, expected.kl_clip_factor);
      near(actual.inner_product, expected.inner_product);
      const [a, e] = [
        tensorIn(actual, "fc1", "update").data,
        tensorIn(expected, "fc1", "update").data,
      ];
      ok(distance(a, e) <= 1e-5 * norm(e));
    }),
);

cpuTest(
  "the quadratic model's δ₀ is kept by the session, through a restart",
  (engine) =>
    withSessions(engine, async ({ expect, restart }) => {
      await expect("POST", "", {
        id: "s",
        layers: LAYERS,
        damping: DAMPING,
        refresh: { every: 1 },
        decay: 0,
      });
      const model = { step_size: "quadratic_model", l2: 0.01 };
      const first = await expect("POST", "/s/steps", { layers: batch(0), ...model });
      equal(first.mu, 0);
      await restart();
      const second = await expect("POST", "/s/steps", { layers: batch(1), ...model });
      const last = (name: string, field: "update" | "bias_update") => {
        const { data, shape } = tensorIn(first, name, field);
        return {
          dtype: "F32",
          shape,
          data: (data as Float32Array).map((x) => -(first.alpha as number) * x),
        };
      };
      const layers = Object.fromEntries(
        Object.entries(described(1)).map(([name, layer]) => [name, {
          ...layer,
          previous_update: last(name, "update"),
          ...("bias_gradient" in layer ? { previous_bias_update: last(name, "bias_update") } : {}),
        }]),
      );
      const expected = await call(engine, "updates", { layers, damping: DAMPING, ...model });
      for (const field of ["alpha", "mu", "predicted_change"]) {
        near(second[field], expected[field], 1e-4);
      }
    }),
);

cpuTest(
  "a gradient that is absent is the batch's own, if that was stated to be meant",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      await expect("POST", "", { id: "s", layers: LAYERS, damping: DAMPING });
      const bare = Object.fromEntries(
        Object.entries(batch(0)).map((
          [name, { inputs, output_gradients }],
        ) => [name, { inputs, output_gradients }]),
      );
      equal((await send("POST", "/s/steps", { layers: bare })).status, 422);
      const actual = await expect("POST", "/s/steps", { layers: bare, fisher: "empirical" });
      const { inputs: a, output_gradients: g } = bare.fc2 as Record<string, WireTensor>;
      const [n, dIn] = a.shape, [, dOut] = g.shape;
      const gradient = new Float32Array(dIn * dOut);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < dIn; j++) {
          for (let o = 0; o < dOut; o++) {
            gradient[j * dOut + o] += a.data[i * dIn + j] * g.data[i * dOut + o] / n;
          }
        }
      }
      const expected = await expect("POST", "/s/updates", {
        layers: { fc2: { gradient: { dtype: "F32", shape: [dIn, dOut], data: gradient } } },
      });
      const [x, y] = [
        tensorIn(actual, "fc2", "update").data,
        tensorIn(expected, "fc2", "update").data,
      ];
      ok(distance(x, y) <= 1e-5 * norm(y));
    }),
);

cpuTest(
  "another λ holds at once for EKFAC, and makes a refresh due for inverses",
  (engine) =>
    withSessions(engine, async ({ expect }) => {
      for (const [method, version] of [["ekfac", 1], ["kfac", 2]] as const) {
        await expect("POST", "", { id: method, method, layers: LAYERS, damping: DAMPING });
        await expect("POST", `/${method}/steps`, { layers: batch(0) });
        const gradients = Object.fromEntries(
          Object.entries(batch(0)).map((
            [name, { inputs: _, output_gradients: __, ...rest }],
          ) => [name, rest]),
        );
        const before = await expect("POST", `/${method}/updates`, { layers: gradients });
        await expect("PATCH", `/${method}`, { damping: 100 * DAMPING });
        const after = await expect("POST", `/${method}/updates`, { layers: gradients });
        const change = distance(
          tensorIn(before, "fc1", "update").data,
          tensorIn(after, "fc1", "update").data,
        );
        equal(change > 0, method === "ekfac");
        equal((await expect("POST", `/${method}/steps`, { layers: batch(1) })).version, version);
      }
    }),
);

cpuTest(
  "drift makes a refresh due before its period",
  (engine) =>
    withSessions(engine, async ({ expect }) => {
      const versions: unknown[] = [];
      for (const [id, drift] of [["small", 1e-6], ["large", 1e6]] as const) {
        await expect("POST", "", {
          id,
          layers: LAYERS,
          damping: DAMPING,
          refresh: { every: null, drift },
        });
        for (let step = 0; step < 3; step++) {
          versions.push((await expect("POST", `/${id}/steps`, { layers: batch(step) })).version);
        }
      }
      equal(versions.join(), "1,2,3,1,1,1");
    }),
);

cpuTest(
  "updates before any refresh are refused, or the gradient itself where that is asked for",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      await expect("POST", "", { id: "s", layers: LAYERS, damping: DAMPING });
      const { gradient, bias_gradient } = batch(0).fc1;
      const layers = { fc1: { gradient, bias_gradient } };
      equal((await send("POST", "/s/updates", { layers })).status, 409);
      const answer = await expect("POST", "/s/updates", { layers, before_refresh: "identity" });
      equal(distance(tensorIn(answer, "fc1", "update").data, (gradient as WireTensor).data), 0);
      equal(answer.version, 0);
    }),
);

cpuTest(
  "a preconditioner is downloaded once a version, in the form asked for",
  (engine) =>
    withSessions(engine, async ({ expect, request, send }) => {
      await expect("POST", "", {
        id: "s",
        layers: LAYERS,
        damping: DAMPING,
        refresh: { every: 2 },
      });
      await expect("POST", "/s/steps", { layers: batch(0) });
      const path = "/s/preconditioner?dtype=F16&symmetric=packed";
      const first = await send("GET", path);
      equal(tensorIn(first.body, "fc1", "A_inv").shape.join(), "10");
      equal(tensorIn(first.body, "fc1", "A_inv").dtype, "F16");
      const known = { "if-none-match": first.headers.get("etag")! };
      equal((await send("GET", path, undefined, known)).status, 304);
      equal((await send("GET", "/s/preconditioner", undefined, known)).status, 200);
      await expect("POST", "/s/steps", { layers: batch(1) });
      equal((await send("GET", path, undefined, known)).status, 304);
      await expect("POST", "/s/steps", { layers: batch(2) });
      equal((await send("GET", path, undefined, known)).status, 200);
      const json = await request("/s/preconditioner");
      equal(json.headers.get("content-type"), "application/json");
      equal((await json.json()).version, 2);
      await expect("POST", "", {
        id: "far",
        method: "kfac_tridiagonal",
        layers: LAYERS,
        damping: DAMPING,
      });
      equal((await send("GET", "/far/preconditioner")).body.reason, "remote-only");
    }),
);

cpuTest(
  "a preconditioner applied by the client gives the server's updates",
  (engine) =>
    withSessions(engine, async ({ expect }) => {
      await expect("POST", "", { id: "s", layers: LAYERS, damping: DAMPING });
      const answer = await expect("POST", "/s/steps", { layers: batch(0) });
      const local = await expect("GET", "/s/preconditioner");
      const { data: A } = tensorIn(local, "fc2", "A_inv"),
        { data: G } = tensorIn(local, "fc2", "G_inv");
      const { data: V } = batch(0).fc2.gradient as WireTensor;
      const U = new Float64Array(8);
      for (let i = 0; i < 4; i++) {
        for (let o = 0; o < 2; o++) {
          for (let j = 0; j < 4; j++) {
            for (let p = 0; p < 2; p++) U[2 * i + o] += A[4 * i + j] * V[2 * j + p] * G[2 * p + o];
          }
        }
      }
      ok(distance(U, tensorIn(answer, "fc2", "update").data) <= 1e-5 * norm(U));
    }),
);

cpuTest(
  "events tell of each step and each refresh of the session watched",
  (engine) =>
    withSessions(engine, async ({ expect, events }) => {
      await expect("POST", "", {
        id: "s",
        layers: LAYERS,
        damping: DAMPING,
        refresh: { every: 2 },
      });
      for (let step = 0; step < 3; step++) {
        await expect("POST", "/s/steps", { layers: batch(step) });
      }
      await expect("DELETE", "/s");
      const told = events.map(({ event: { event, version } }) =>
        `${event} ${version ?? ""}`.trim()
      );
      equal(told.join(), "refresh 1,step 1,step 1,refresh 2,step 2,deleted");
    }),
);
