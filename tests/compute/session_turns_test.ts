/** Whose turn it is: calls of one session in order, different sessions side by side, one transaction of the store at a time. */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import type { Store } from "@/sessions/mod.ts";
import { batch, DAMPING, LAYERS } from "../sessions/batches.ts";
import { type Client, withSessions } from "../sessions/support.ts";
import { cpuTest } from "../support/cpu.ts";

const create = ({ expect }: Client, id: string, more: Record<string, unknown> = {}) =>
  expect("POST", "", { id, layers: LAYERS, damping: DAMPING, ...more });

cpuTest(
  "steps sent to one session at once are taken in the order they came",
  (engine) =>
    withSessions(engine, async (client) => {
      await create(client, "s");
      await create(client, "alone");
      const steps = [0, 1, 2, 3, 4, 5, 6, 7];
      const answers = await Promise.all(
        steps.map((step) => client.expect("POST", "/s/steps", { layers: batch(step) })),
      );
      deepEqual(answers.map(({ revision }) => revision), steps.map((step) => step + 1));
      for (const step of steps) {
        await client.expect("POST", "/alone/steps", { layers: batch(step) });
      }
      const [one, other] = await Promise.all(
        ["s", "alone"].map((id) => client.expect("GET", `/${id}/factors`)),
      );
      deepEqual(one.layers, other.layers);
    }),
);

cpuTest(
  "updates of one session are answered between the slices of another's refresh",
  (engine) =>
    withSessions(engine, async (client) => {
      const names = Array.from({ length: 6 }, (_, l) => `fc${l}`);
      const layers = Object.fromEntries(names.map((name) => [name, LAYERS.fc1]));
      const statistics = (step: number) =>
        Object.fromEntries(names.map((name) => [name, batch(step).fc1]));
      await client.expect("POST", "", {
        id: "slow",
        layers,
        damping: DAMPING,
        refresh: { every: 1, mode: "async" },
      });
      await create(client, "quick");
      await client.expect("POST", "/quick/steps", { layers: batch(0) });
      for (const step of [0, 1]) {
        await client.expect("POST", "/slow/steps", { layers: statistics(step) });
      }
      const told = client.events.length;
      const refreshed = client.settle();
      const { gradient, bias_gradient } = batch(1).fc1;
      const quick = await client.expect("POST", "/quick/updates", {
        layers: { fc1: { gradient, bias_gradient } },
      });
      equal(quick.version, 1);
      const since = () =>
        client.events.slice(told).map(({ session, event }) => `${session} ${event.event}`);
      deepEqual(since(), []);
      await refreshed;
      deepEqual(since(), ["slow refresh"]);
    }),
);

cpuTest("a session that waits for the store holds up no other's computation", (engine) => {
  const stuck = Promise.withResolvers<void>();
  let isStuck = false;
  const storeOf = (store: Store): Store =>
    new Proxy(store, {
      get: (target, name) =>
        name === "commit" && isStuck
          ? async (change: Parameters<Store["commit"]>[0]) => {
            await stuck.promise;
            await target.commit(change);
          }
          : (Reflect.get(target, name) as () => unknown).bind(target),
    });
  return withSessions(engine, async (client) => {
    for (const id of ["waits", "goes-on"]) {
      await create(client, id);
      await client.expect("POST", `/${id}/steps`, { layers: batch(0) });
    }
    isStuck = true;
    let isAnswered = false;
    const waiting = client.expect("POST", "/waits/steps", { layers: batch(1) })
      .then(() => isAnswered = true);
    const { gradient, bias_gradient } = batch(2).fc1;
    const layers = { fc1: { gradient, bias_gradient } };
    const { version } = await client.expect("POST", "/goes-on/updates", { layers });
    equal(version, 1);
    equal(isAnswered, false);
    stuck.resolve();
    await waiting;
  }, { storeOf });
});

cpuTest(
  "sessions that step at once under a small budget lose nothing to each other's leaving",
  (engine) =>
    withSessions(engine, async (client) => {
      const ids = ["a", "b", "c", "d"];
      for (const id of ids) await create(client, id, { refresh: { every: 2 } });
      for (let step = 0; step < 5; step++) {
        const answers = await Promise.all(
          ids.map((id) => client.expect("POST", `/${id}/steps`, { layers: batch(step) })),
        );
        deepEqual(answers.map(({ revision }) => revision), ids.map(() => step + 1));
      }
      const [first, ...others] = await Promise.all(
        ids.map((id) => client.expect("GET", `/${id}/factors`)),
      );
      for (const other of others) deepEqual(other.layers, first.layers);
    }, { budgetBytes: 700 }),
);
