/** The stream of events over HTTP, and the diagnostics that it and the session tell. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { SESSION_EVENTS, SessionAnswer } from "@/wire/mod.ts";
import { batch, DAMPING, LAYERS, layersFor } from "../sessions/batches.ts";
import { type Client, withSessions } from "../sessions/support.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { gpuTest } from "../support/gpu.ts";

interface ToldEvent {
  readonly name: string;
  // deno-lint-ignore no-explicit-any -- checked by its schema before anything is read of it
  readonly data: any;
}

/** Everything of a stream up to its end, each event checked against its schema. */
async function eventsOf(response: Response): Promise<ToldEvent[]> {
  const blocks = (await response.text()).split("\n\n").filter((block) => /^event:/m.test(block));
  return blocks.map((block) => {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(block)!;
    const schema = SESSION_EVENTS[name as keyof typeof SESSION_EVENTS];
    return { name, data: schema.parse(JSON.parse(data)) };
  });
}

const create = ({ expect }: Client, more: Record<string, unknown>) =>
  expect("POST", "", { id: "s", layers: LAYERS, damping: DAMPING, ...more });

function suite(test: EngineTest): void {
  test("the stream tells every step and every refresh with its diagnostics, and ends with the session", (engine) =>
    withSessions(engine, async (client) => {
      await create(client, { method: "ekfac", kl_clip: 1e-3, refresh: { every: 2 } });
      const stream = await client.request("/s/events");
      equal(stream.status, 200);
      equal(stream.headers.get("content-type"), "text/event-stream");
      const told = eventsOf(stream);
      const learning_rate = 0.3;
      const answers = [];
      for (let step = 0; step < 3; step++) {
        answers.push(
          await client.expect("POST", "/s/steps", { layers: batch(step), learning_rate }),
        );
      }
      const { layers } = await client.expect("GET", "/s");
      await client.expect("DELETE", "/s");
      const events = await told;
      deepEqual(events.map(({ name }) => name), [
        "refresh",
        "step",
        "step",
        "refresh",
        "step",
        "deleted",
      ]);
      const [first, , second, refreshed, third] = events.map(({ data }) => data);
      deepEqual([first.version, refreshed.version, refreshed.revision], [1, 2, 3]);
      deepEqual(
        refreshed.layers.fc1.diagnostics,
        (layers!.fc1 as Record<string, unknown>).diagnostics,
      );

      const { A, S } = refreshed.layers.fc1.diagnostics;
      equal(A.spectrum.source, "eigenvalues");
      ok(A.spectrum.min <= A.spectrum.median && A.spectrum.median <= A.spectrum.max);
      equal(A.largest_eigenvalue, A.spectrum.max);
      ok(A.stable_rank >= 1 && A.stable_rank <= 4, `${A.stable_rank}`);
      ok(A.condition >= 1 && A.residual < 1e-5);
      ok(A.drift > 0 && A.drift < 1, `${A.drift}`);
      equal(first.layers.fc1.diagnostics.A.drift, undefined); // there was nothing to move from
      ok(S.spectrum.min >= 0 && S.largest_eigenvalue > 0);

      deepEqual([second.age, third.age], [1, 0]);
      deepEqual([second.layers.fc1.age, third.layers.fc1.age], [1, 0]);
      equal(third.damping, DAMPING);
      equal(third.kl_clip_factor, answers[2].kl_clip_factor);
      const { kl, layers: each, inner_product } = third;
      ok(Math.abs(kl / 1e-3 - 1) <= 1e-4, `${kl}: clipped to κ`);
      ok(Math.abs((each.fc1.kl + each.fc2.kl) / kl - 1) <= 1e-4);
      ok(Math.abs((each.fc1.inner_product + each.fc2.inner_product) / inner_product - 1) <= 1e-4);
    }));

  test("a session tells how far each average has moved since its refresh", (engine) =>
    withSessions(engine, async (client) => {
      const drifts: number[] = [];
      for (const [method, drift] of [["ekfac", null], ["kfac", 1e9]] as const) {
        await create(client, { id: method, method, refresh: { every: null, drift } });
        for (let step = 0; step < 3; step++) {
          await client.expect("POST", `/${method}/steps`, { layers: batch(step) });
          const { layers } = await client.expect("GET", `/${method}`);
          const { drift, age } = layers!.fc1 as { drift: { A: number }; age: number };
          equal(age, step);
          drifts.push(drift.A);
        }
      }
      for (const [fresh, ...moved] of [drifts.slice(0, 3), drifts.slice(3)]) {
        ok(fresh <= 1e-5, `${fresh}`);
        ok(moved.every((drift) => drift > 0.01), `${moved}`);
      }
    }));
}

cpuTest(
  "every method tells the spectrum of its averages, and says what it is of",
  (engine) =>
    withSessions(engine, async ({ expect }) => {
      const told: Record<string, string> = {
        kfac: "A G",
        ekfac: "A G S",
        kpsvd: "A G",
        deflation: "A G",
        lanczos: "A G",
        kfac_corrected: "A G",
        tkfac: "A G",
        tekfac: "A G S",
        kfac_tridiagonal: "A G",
        kfac_two_level: "A G",
        mbf: "M",
        foof: "A",
        shampoo: "L R",
        soap: "L R",
      };
      for (const [method, factors] of Object.entries(told)) {
        await expect("POST", "", { id: method, method, layers: LAYERS, damping: DAMPING });
        await expect("POST", `/${method}/steps`, { layers: layersFor(method, 0) });
        const { layers } = await expect("GET", `/${method}`);
        const { diagnostics } = layers!.fc1 as {
          diagnostics: Record<string, { spectrum?: { source: string; max: number } }>;
        };
        const withSpectrum = Object.keys(diagnostics).filter((factor) =>
          diagnostics[factor].spectrum
        );
        equal(withSpectrum.sort().join(" "), factors, method);
        for (const factor of withSpectrum) {
          const { source, max } = diagnostics[factor].spectrum!;
          const isKnown = method === "ekfac" || method === "tekfac";
          equal(source, isKnown ? "eigenvalues" : "diagonal", `${method} ${factor}`);
          ok(max > 0, `${method} ${factor}`);
        }
      }
    }),
);

cpuTest(
  "what is told of a session survives its server",
  (engine) =>
    withSessions(engine, async (client) => {
      await create(client, { method: "ekfac", refresh: { every: 2, drift: 1e9 } });
      for (let step = 0; step < 4; step++) {
        await client.expect("POST", "/s/steps", { layers: batch(step) });
      }
      const before = await client.expect("GET", "/s");
      await client.restart();
      deepEqual((await client.expect("GET", "/s")).layers, before.layers);
    }),
);

cpuTest(
  "a session's answer is as its schema says, and tells that a new λ waits for a refresh",
  (engine) =>
    withSessions(engine, async (client) => {
      const told = async () => SessionAnswer.parse(await (await client.request("/s")).json());
      await create(client, { refresh: { every: 5, mode: "async" } });
      equal((await told()).layers.fc1.has_preconditioner, false);
      await client.expect("POST", "/s/steps", { layers: batch(0) });
      const { steps, age, stale, refreshing, layers } = await told();
      deepEqual([steps, age, stale, refreshing], [1, 0, false, false]);
      ok(layers.fc1.has_preconditioner && layers.fc1.diagnostics!.A.residual! < 1e-5);
      await client.expect("PATCH", "/s", { damping: 2 * DAMPING });
      equal((await told()).stale, true);
      await client.expect("POST", "/s/steps", { layers: batch(1) });
      equal((await told()).refreshing, true);
      await client.expect("PATCH", "/s", { damping: 3 * DAMPING }); // the refresh under way has not this one
      await client.settle();
      deepEqual([(await told()).stale, (await told()).version], [true, 2]);
      await client.expect("POST", "/s/steps", { layers: batch(2) });
      await client.settle();
      deepEqual([(await told()).stale, (await told()).version], [false, 3]);
    }),
);

cpuTest(
  "a stream of no session is 404, and one watches its own session alone",
  (engine) =>
    withSessions(engine, async (client) => {
      equal((await client.request("/nobody/events")).status, 404);
      await create(client, {});
      await create(client, { id: "other" });
      const told = client.request("/s/events").then(eventsOf);
      await client.expect("GET", "/s");
      await client.expect("POST", "/other/steps", { layers: batch(0) });
      await client.expect("DELETE", "/s");
      deepEqual((await told).map(({ name }) => name), ["deleted"]);
    }),
);

// the webgpu suite last: it makes its backend the current one
suite(cpuTest);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn));
