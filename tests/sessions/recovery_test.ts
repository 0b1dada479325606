/** What a killed server has when it starts again. */
import { strictEqual as equal } from "node:assert/strict";
import { SESSION_METHODS, type WireTensor } from "@/wire/mod.ts";
import { cpuTest } from "../support/cpu.ts";
import { distance } from "../support/dense.ts";
import { DAMPING, DECAY, LAYERS, layersFor } from "./batches.ts";
import { tensorIn, withSessions } from "./support.ts";

for (const method of SESSION_METHODS) {
  cpuTest(
    `a killed server of ${method} goes on where it was, from its log and from a snapshot`,
    (engine) =>
      withSessions(engine, async ({ expect, restart }) => {
        const session = {
          layers: LAYERS,
          method,
          damping: DAMPING,
          decay: DECAY,
          refresh: { every: 3 },
        };
        await expect("POST", "", { ...session, id: "killed" });
        await expect("POST", "", { ...session, id: "steady" });
        for (let step = 0; step < 8; step++) {
          if (step === 3 || step === 5) await restart();
          const actual = await expect("POST", "/killed/steps", { layers: layersFor(method, step) });
          const expected = await expect("POST", "/steady/steps", {
            layers: layersFor(method, step),
          });
          for (const [name, layer] of Object.entries(expected.layers!)) {
            equal(
              distance(tensorIn(actual, name, "update").data, (layer.update as WireTensor).data),
              0,
            );
          }
          equal(actual.version, expected.version);
        }
      }),
  );
}

cpuTest(
  "a step that fails changes nothing, in memory or in the store",
  (engine) =>
    withSessions(engine, async ({ expect, send, restart }) => {
      await expect("POST", "", { id: "s", layers: LAYERS, damping: 0, refresh: { every: 1 } });
      const layers = layersFor("kfac", 0);
      const { inputs, output_gradients } = layers.fc1;
      const zeros = {
        ...layers.fc1,
        inputs: {
          ...inputs as WireTensor,
          data: new Float32Array((inputs as WireTensor).data.length),
        },
      };
      const failed = await send("POST", "/s/steps", { layers: { ...layers, fc1: zeros } });
      equal(failed.status, 422);
      equal((await expect("GET", "/s")).revision, 0);
      await restart();
      equal((await expect("GET", "/s")).revision, 0);
      equal((await expect("POST", "/s/steps", { layers: layersFor("kfac", 0) })).revision, 1);
      equal((output_gradients as WireTensor).shape.length, 2);
    }),
);

cpuTest(
  "a key's change is made once, also across a restart, and answers the same updates",
  (engine) =>
    withSessions(engine, async ({ expect, send, restart }) => {
      await expect("POST", "", { id: "s", layers: LAYERS, damping: DAMPING });
      const key = { "idempotency-key": "step-1" };
      const first = await expect("POST", "/s/steps", { layers: layersFor("kfac", 0) }, key);
      equal(first.replayed, undefined);
      for (const isRestarted of [false, true]) {
        if (isRestarted) await restart();
        const again = await expect("POST", "/s/steps", { layers: layersFor("kfac", 0) }, key);
        equal(again.replayed, true);
        equal(again.revision, 1);
        const [a, b] = [tensorIn(first, "fc1", "update"), tensorIn(again, "fc1", "update")];
        equal(distance(a.data, b.data), 0);
        equal((await expect("GET", "/s")).revision, 1);
      }
      const other = await send("POST", "/s/steps", { layers: layersFor("kfac", 1) }, key);
      equal(other.status, 422);
    }),
);

cpuTest(
  "a replayed step has the preconditioner it had, after one refresh more",
  (engine) =>
    withSessions(engine, async ({ expect }) => {
      await expect("POST", "", {
        id: "s",
        layers: LAYERS,
        damping: DAMPING,
        refresh: { every: 2 },
      });
      const keyOf = (step: number) => ({ "idempotency-key": `step-${step}` });
      const first = await expect("POST", "/s/steps", { layers: layersFor("kfac", 0) }, keyOf(0));
      for (const step of [1, 2]) {
        await expect("POST", "/s/steps", { layers: layersFor("kfac", step) }, keyOf(step));
      }
      const again = await expect("POST", "/s/steps", { layers: layersFor("kfac", 0) }, keyOf(0));
      equal(again.version, 1);
      const [a, b] = [tensorIn(first, "fc2", "update"), tensorIn(again, "fc2", "update")];
      equal(distance(a.data, b.data), 0);
    }),
);

cpuTest(
  "creation, patch, report and deletion are made once under their keys",
  (engine) =>
    withSessions(engine, async ({ expect, send, restart }) => {
      const rule = { rule: "levenberg_marquardt", value: 1 };
      const creation = { layers: LAYERS, damping: rule };
      const created = await expect("POST", "", creation, { "idempotency-key": "c" });
      const again = await expect("POST", "", creation, { "idempotency-key": "c" });
      equal(again.id, created.id);
      equal((await expect("GET", "")).sessions instanceof Array, true);
      const report = { loss_before: 1, loss_after: 0.4, predicted_change: -0.5 };
      const path = `/${created.id}`;
      const first = await expect("POST", `${path}/reports`, report, { "idempotency-key": "r" });
      await restart();
      const second = await expect("POST", `${path}/reports`, report, { "idempotency-key": "r" });
      equal(second.damping, first.damping);
      equal((await expect("GET", path)).damping, first.damping);
      await expect("DELETE", path, undefined, { "idempotency-key": "d" });
      const gone = await expect("DELETE", path, undefined, { "idempotency-key": "d" });
      equal(gone.replayed, true);
      equal((await send("GET", path)).status, 404);
    }),
);

cpuTest(
  "If-Match refuses a change against a state that has moved on",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      await expect("POST", "", { id: "s", layers: LAYERS, damping: DAMPING });
      await expect("POST", "/s/steps", { layers: layersFor("kfac", 0) }, { "if-match": '"0"' });
      const late = await send("POST", "/s/steps", { layers: layersFor("kfac", 1) }, {
        "if-match": '"0"',
      });
      equal(late.status, 412);
      equal((await expect("GET", "/s")).revision, 1);
    }),
);

cpuTest(
  "durability refresh loses no more than the statistics since the last refresh",
  (engine) =>
    withSessions(engine, async ({ expect, restart }) => {
      await expect("POST", "", {
        id: "s",
        layers: LAYERS,
        damping: DAMPING,
        durability: "refresh",
        refresh: { every: 3 },
      });
      const durable: unknown[] = [];
      for (let step = 0; step < 5; step++) {
        const answer = await expect("POST", "/s/steps", { layers: layersFor("kfac", step) });
        durable.push(answer.durable_revision);
      }
      equal(durable.join(), "1,1,1,4,4");
      await restart();
      const { revision, steps } = await expect("GET", "/s");
      equal(revision, 4);
      equal(steps, 4);
    }),
);

cpuTest(
  "a background refresh is installed where it was, after a restart too",
  (engine) =>
    withSessions(engine, async ({ expect, settle, restart }) => {
      const session = {
        layers: LAYERS,
        method: "ekfac",
        damping: DAMPING,
        refresh: { every: 2, mode: "async" },
      };
      for (const id of ["killed", "steady"]) await expect("POST", "", { ...session, id });
      const versions: unknown[] = [], ages: unknown[] = [];
      for (let step = 0; step < 7; step++) {
        const steady = await expect("POST", "/steady/steps", { layers: layersFor("ekfac", step) });
        const killed = await expect("POST", "/killed/steps", { layers: layersFor("ekfac", step) });
        versions.push(steady.version);
        ages.push(steady.age);
        equal(killed.version, steady.version);
        const [a, b] = [tensorIn(killed, "fc1", "update"), tensorIn(steady, "fc1", "update")];
        equal(distance(a.data, b.data), 0);
        if (step === 3) await settle();
        if (step === 5) await restart();
      }
      // due at step 2, under way until the debts were paid after step 3
      equal(versions.join(), "1,1,1,1,2,2,2");
      equal(ages.join(), "0,1,2,3,2,3,4");
    }),
);

cpuTest(
  "a checkpoint goes on under another id, and another configuration is refused by name",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      const session = { layers: LAYERS, method: "ekfac", damping: DAMPING, refresh: { every: 2 } };
      await expect("POST", "", { ...session, id: "s" });
      for (const step of [0, 1, 2]) {
        await expect("POST", "/s/steps", { layers: layersFor("ekfac", step) });
      }
      const file = await expect("GET", "/s/checkpoint");
      await expect("PUT", "/copy/checkpoint", structuredClone(file));
      for (const step of [3, 4]) {
        const a = await expect("POST", "/s/steps", { layers: layersFor("ekfac", step) });
        const b = await expect("POST", "/copy/steps", { layers: layersFor("ekfac", step) });
        equal(distance(tensorIn(a, "fc1", "update").data, tensorIn(b, "fc1", "update").data), 0);
      }
      await expect("POST", "", { ...session, id: "other", method: "kfac" });
      const refused = await send("PUT", "/other/checkpoint", file);
      equal(refused.status, 409);
      equal((refused.body.detail as string).includes("/method"), true);
    }),
);

cpuTest(
  "sessions that do not fit together wait in the store and come back",
  (engine) =>
    withSessions(engine, async (client) => {
      for (const id of ["a", "b", "c"]) {
        await client.expect("POST", "", {
          id,
          layers: LAYERS,
          damping: DAMPING,
          refresh: { every: 2 },
        });
      }
      for (let step = 0; step < 4; step++) {
        const updates = [];
        for (const id of ["a", "b", "c"]) {
          const answer = await client.expect("POST", `/${id}/steps`, {
            layers: layersFor("kfac", step),
          });
          updates.push(tensorIn(answer, "fc1", "update").data);
        }
        equal(distance(updates[0], updates[1]), 0);
        equal(distance(updates[0], updates[2]), 0);
        equal(client.host.bytes() <= 700, true);
      }
    }, { budgetBytes: 700 }),
);

cpuTest(
  "an idle session is ended, one without that setting is not",
  (engine) =>
    withSessions(engine, async ({ expect, send, host }) => {
      await expect("POST", "", { id: "idle", layers: LAYERS, damping: 1, idle_seconds: 5 });
      await expect("POST", "", { id: "kept", layers: LAYERS, damping: 1 });
      await host.expire(Date.now() + 4000);
      equal((await send("GET", "/idle")).status, 200);
      await host.expire(Date.now() + 6000);
      equal((await send("GET", "/idle")).status, 404);
      equal((await send("GET", "/kept")).status, 200);
    }),
);

cpuTest(
  "a session that can never fit is refused at creation, with the figures",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      const layer = { kind: "dense", bias: false, d_in: 100, d_out: 50 };
      const { status, body } = await send("POST", "", { layers: { fc: layer }, damping: 1 });
      equal(status, 413);
      equal(body.value, 2 * 4 * (100 ** 2 + 50 ** 2));
      equal(body.limit, 50_000);
      await expect("POST", "", { layers: { fc: { ...layer, d_in: 50 } }, damping: 1 });
    }, { budgetBytes: 50_000 }),
);

cpuTest(
  "a key's step of SOAP answers the same updates, also where it turned the basis",
  (engine) =>
    withSessions(engine, async ({ expect, restart }) => {
      await expect("POST", "", { id: "s", layers: LAYERS, method: "soap", refresh: { every: 2 } });
      for (let step = 0; step < 5; step++) {
        const key = { "idempotency-key": `step-${step}` };
        const first = await expect("POST", "/s/steps", { layers: layersFor("soap", step) }, key);
        if (step === 3) await restart();
        const again = await expect("POST", "/s/steps", { layers: layersFor("soap", step) }, key);
        equal(again.replayed, true);
        const [a, b] = [tensorIn(first, "fc1", "update"), tensorIn(again, "fc1", "update")];
        equal(distance(a.data, b.data), 0);
      }
    }),
);
