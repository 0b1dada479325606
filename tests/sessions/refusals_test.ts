/** What a session refuses so that it stays whole, and what of it is forgotten with it. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { CurvdError } from "@/errors.ts";
import type { Store } from "@/sessions/mod.ts";
import { type Document, isTensor, type WireTensor } from "@/wire/mod.ts";
import { Residents } from "../../src/compute/session_residents.ts";
import { newLive } from "../../src/compute/session_live.ts";
import { configurationOf, newState } from "@/sessions/mod.ts";
import { cpuTest } from "../support/cpu.ts";
import { distance } from "../support/dense.ts";
import { DAMPING, LAYERS, layersFor } from "./batches.ts";
import { tensorIn, values, withSessions } from "./support.ts";

const SESSION = { id: "s", layers: LAYERS, damping: DAMPING };

/** A batch whose tensors of some names are scaled. */
function scaled(layers: ReturnType<typeof layersFor>, fields: readonly string[], factor: number) {
  return Object.fromEntries(
    Object.entries(layers).map(([name, layer]) => [
      name,
      Object.fromEntries(
        Object.entries(layer).map(([field, leaf]) => [
          field,
          fields.includes(field) && isTensor(leaf)
            ? values([...leaf.shape], (leaf as WireTensor).data.map((value) => factor * value))
            : leaf,
        ]),
      ),
    ]),
  );
}

for (const method of ["kfac", "ekfac", "foof", "lanczos", "tkfac", "mbf", "shampoo", "soap"]) {
  cpuTest(
    `a batch that takes an average of ${method} beyond float32 is refused, and nothing lost`,
    (engine) =>
      withSessions(engine, async ({ expect, send }) => {
        await expect("POST", "", { ...SESSION, method, refresh: { every: 3 } });
        await expect("POST", "", { ...SESSION, method, refresh: { every: 3 }, id: "twin" });
        for (let step = 0; step < 5; step++) {
          const layers = layersFor(method, step);
          const wild = scaled(layers, ["inputs", "gradient"], 1e25);
          const refused = await send("POST", "/s/steps", { layers: wild });
          equal(refused.status, 422, `${step}: ${JSON.stringify(refused.body)}`);
          ok(LAYERS[refused.body.layer as keyof typeof LAYERS], "it names the layer");
          const actual = await expect("POST", "/s/steps", { layers });
          const expected = await expect("POST", "/twin/steps", { layers });
          const [a, b] = [actual, expected].map((answer) => tensorIn(answer, "fc1", "update").data);
          equal(distance(a, b), 0);
        }
      }),
  );
}

cpuTest(
  "keys are of a session as it is: deleted, made anew or restored, it has none",
  (engine) =>
    withSessions(engine, async ({ expect, send, request }) => {
      const step = (n: number) =>
        expect("POST", "/s/steps", { layers: layersFor("kfac", n) }, { "idempotency-key": `${n}` });
      const creation = { "idempotency-key": "create" }, end = { "idempotency-key": "delete" };
      for (let life = 0; life < 2; life++) {
        const made = await expect("POST", "", SESSION, creation);
        equal(made.replayed, undefined);
        equal((await step(0)).replayed, undefined);
        equal((await step(0)).replayed, true);
        equal((await expect("DELETE", "/s", undefined, end)).replayed, undefined);
        equal((await send("GET", "/s")).status, 404);
        equal((await expect("DELETE", "/s", undefined, end)).replayed, true);
      }
      await expect("POST", "", SESSION);
      await step(0);
      const file = await (await request("/s/checkpoint")).bytes();
      const known = await step(1);
      const headers = { "content-type": "application/vnd.safetensors" };
      equal((await request("/s/checkpoint", { method: "PUT", body: file, headers })).status, 200);
      const again = await step(1);
      equal(again.replayed, undefined);
      const [a, b] = [known, again].map((answer) => tensorIn(answer, "fc1", "update").data);
      equal(distance(a, b), 0);
    }),
);

cpuTest(
  "a step of SOAP that is not the last is not answered with another's update",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      await expect("POST", "", { ...SESSION, method: "soap" });
      const step = (n: number) =>
        send("POST", "/s/steps", { layers: layersFor("soap", n) }, { "idempotency-key": `${n}` });
      for (const n of [0, 1, 2]) equal((await step(n)).status, 200);
      equal((await step(2)).body.replayed, true);
      const old = await step(0);
      equal(old.status, 409);
      ok(/its update is gone/.test(String(old.body.detail)));
      equal((await expect("GET", "/s")).revision, 3);
      const changed = await expect("PATCH", "/s", { damping: 1e-6 });
      equal(changed.revision, 4);
      equal((await expect("GET", "/s")).stale, false, "SOAP's next step has the new one");
    }),
);

Deno.test("a session that leaves memory stays as long as it was last asked for", () => {
  const residents = new Residents(Infinity);
  const { identity, settings, damping } = configurationOf(
    {
      layers: { fc1: { ...LAYERS.fc1, d_in: 3, d_out: 2 } },
      method: "kfac",
      damping: DAMPING,
      idle_seconds: 8,
    } as unknown as Parameters<typeof configurationOf>[0],
  );
  const live = newLive("s", identity, newState(identity.layers, settings, damping));
  residents.add(live);
  const made = Date.now();
  live.touchedAt = made + 12_000;
  residents.drop(live);
  deepEqual(residents.idle(made + 13_000), []);
  deepEqual(residents.idle(made + 21_000), ["s"]);
});

cpuTest(
  "kfac_tridiagonal refuses names that do not keep their order",
  (engine) =>
    withSessions(engine, async ({ request }) => {
      const create = (id: string, names: readonly string[]) => {
        const layers = names.map((name) => `${JSON.stringify(name)}: {"kind": "dense"}`).join(", ");
        const body =
          `{"id": "${id}", "method": "kfac_tridiagonal", "damping": 1, "layers": {${layers}}}`;
        return request("", {
          method: "POST",
          body,
          headers: { "content-type": "application/json" },
        });
      };
      const refused = await create("a", ["3", "1", "2"]);
      equal(refused.status, 422);
      const problem = await refused.json();
      equal(problem.layer, "1");
      ok(/do not keep their order/.test(problem.detail));
      equal((await create("b", ["fc", "1"])).status, 422);
      equal((await create("c", ["1", "2", "3", "fc"])).status, 201);
      equal(
        (await create("d", ["c", "a", '1": {"2": '])).status,
        201,
        "braces and quotes in a name",
      );
    }),
);

cpuTest(
  "kfac_two_level takes its layers all together, of the same examples",
  (engine) =>
    withSessions(engine, async ({ expect, send }) => {
      await expect("POST", "", { ...SESSION, method: "kfac_two_level" });
      await expect("POST", "/s/steps", { layers: layersFor("kfac_two_level", 0) });
      const { fc1, fc2 } = layersFor("kfac_two_level", 1);
      const { inputs, output_gradients } = fc1;
      const statistics = { inputs, output_gradients };
      const refused = await send("POST", "/s/statistics", { layers: { fc1: statistics } });
      equal(refused.status, 422);
      equal(refused.body.layer, "fc2");
      const fewer = {
        inputs: values([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
        output_gradients: values([2, 2], [1, 2, 3, 4]),
      };
      const uneven = await send("POST", "/s/statistics", {
        layers: { fc1: statistics, fc2: fewer },
      });
      equal(uneven.status, 422);
      equal((await expect("GET", "/s")).revision, 1);
      ok(fc2);
    }),
);

cpuTest(
  "a PATCH leaves what it does not name, and makes a drift that is not known known",
  (engine) =>
    withSessions(engine, async ({ expect }) => {
      const refresh = { every: 7, drift: null, mode: "sync" };
      await expect("POST", "", { ...SESSION, refresh });
      await expect("POST", "/s/steps", { layers: layersFor("kfac", 0) });
      const patched = await expect("PATCH", "/s", { refresh: { every: 9 } });
      deepEqual(patched.refresh, { ...refresh, every: 9 });
      equal((await expect("GET", "/s")).stale, false);
      await expect("PATCH", "/s", { refresh: { drift: 0.01 } });
      equal((await expect("GET", "/s")).stale, true, "no average of the last refresh was kept");
      const layers = scaled(layersFor("kfac", 1), ["inputs"], 3);
      equal((await expect("POST", "/s/steps", { layers })).version, 2);
      equal((await expect("POST", "/s/steps", { layers })).version, 3, "it has drifted");
    }),
);

cpuTest(
  "the tag of a preconditioner is of its content",
  (engine) =>
    withSessions(engine, async ({ expect, request }) => {
      const tagOf = async () => (await request("/s/preconditioner")).headers.get("etag");
      const tags: (string | null)[] = [];
      for (const method of ["kfac", "ekfac"]) {
        await expect("POST", "", { ...SESSION, method, refresh: { every: 10 } });
        await expect("POST", "/s/steps", { layers: layersFor(method, 0) });
        tags.push(await tagOf());
        equal(await tagOf(), tags.at(-1));
        await expect("POST", "/s/steps", { layers: layersFor(method, 1) });
        const moved = await tagOf();
        equal(moved === tags.at(-1), method === "kfac", "S moves with every batch");
        await expect("DELETE", "/s");
        await expect("POST", "", { ...SESSION, method, refresh: { every: 10 } });
        await expect("POST", "/s/steps", { layers: layersFor(method, 2) });
        tags.push(await tagOf());
        await expect("DELETE", "/s");
      }
      equal(new Set(tags).size, 4);
    }),
);

/** A store that fails to commit when it is told to. */
function failing(store: Store, isFailing: () => boolean): Store {
  return new Proxy(store, {
    get(target, name: keyof Store) {
      if (name === "commit" && isFailing()) {
        return () => Promise.reject(new CurvdError("store-full", "The disk is full"));
      }
      const member = target[name];
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

cpuTest(
  "a refresh that could not be kept and was sent again is the same after a crash",
  async (engine) => {
    let isFailing = false;
    const storeOf = (store: Store) => failing(store, () => isFailing);
    await withSessions(engine, async ({ expect, send, restart }) => {
      const many = (step: number) => {
        const n = 300; // the batch is more than what it leaves
        const of = (d: number, seed: number) =>
          values([n, d], Float32Array.from({ length: n * d }, (_, i) => Math.sin(seed + i * i)));
        const inputs = of(3, step), output_gradients = of(4, 100 + step);
        return { fc1: { ...layersFor("ekfac", step).fc1, inputs, output_gradients } };
      };
      const layers = { fc1: LAYERS.fc1 };
      await expect("POST", "", { ...SESSION, layers, method: "ekfac", refresh: { every: 2 } });
      for (const step of [0, 1]) await expect("POST", "/s/steps", { layers: many(step) });
      isFailing = true;
      equal((await send("POST", "/s/steps", { layers: many(2) })).status, 507);
      isFailing = false;
      await expect("POST", "/s/steps", { layers: many(2) });
      const { gradient, bias_gradient } = layersFor("ekfac", 9).fc1;
      const update = () =>
        expect("POST", "/s/updates", { layers: { fc1: { gradient, bias_gradient } } });
      const before = await update();
      await restart();
      const after = await update();
      const [a, b] = [before, after].map((answer: Document) =>
        tensorIn(answer, "fc1", "update").data
      );
      equal(distance(a, b), 0);
    }, { storeOf });
  },
);
