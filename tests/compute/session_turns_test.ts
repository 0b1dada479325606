/** Whose turn it is: calls of one session in order, different sessions side by side, one transaction of the store at a time. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import type { Store } from "@/sessions/mod.ts";
import { Journal } from "../../src/compute/session_journal.ts";
import { newLive } from "../../src/compute/session_live.ts";
import { oneAtATime } from "../../src/compute/turns.ts";
import { configurationOf, newState } from "@/sessions/mod.ts";
import { SessionRequest } from "@/wire/mod.ts";
import { batch, DAMPING, LAYERS } from "../sessions/batches.ts";
import { type Client, withSessions } from "../sessions/support.ts";
import { cpuEngine, cpuTest } from "../support/cpu.ts";

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
  "a step of one session is answered between the slices of another's refresh",
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
      for (const step of [0, 1]) {
        await client.expect("POST", "/slow/steps", { layers: statistics(step) });
      }
      const told = client.events.length;
      const refreshed = client.settle();
      const quick = await client.expect("POST", "/quick/steps", { layers: batch(0) });
      equal(quick.version, 1);
      const since = () =>
        client.events.slice(told).map(({ session, event }) => `${session} ${event.event}`);
      deepEqual(since(), ["quick refresh", "quick step"]);
      await refreshed;
      deepEqual(since(), ["quick refresh", "quick step", "slow refresh"]);
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

Deno.test("the change that is done first is committed first, and the other's entry written again", async () => {
  const told: string[] = [];
  const store = {
    stage: (session: string) => told.push(`stage ${session}`),
    discard: () => told.push("discard"),
    commit: ({ session }: { session: string }) => Promise.resolve(told.push(`commit ${session}`)),
  } as unknown as Store;
  const journal = new Journal(await cpuEngine(), store, oneAtATime());
  const { identity, settings, damping } = configurationOf(
    SessionRequest.parse({ layers: { fc: { kind: "dense" } }, damping: 1 }),
  );
  const state = newState(identity.layers, settings, damping);
  const [a, b, c] = ["a", "b", "c"].map((id) => newLive(id, identity, state));
  const entry = { call: "patch", request: {}, mayDefer: false } as const;
  const [first, second, third] = [a, b, c].map((live) => journal.begin(live, entry, 1));
  await journal.append(b, second, state);
  journal.discard(first);
  await journal.append(c, third, state);
  deepEqual(told, [
    "stage a",
    "discard",
    "stage b",
    "commit b",
    "stage a",
    "discard",
    "stage c",
    "commit c",
  ]);
  ok(b.durableRevision === state.revision);
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
