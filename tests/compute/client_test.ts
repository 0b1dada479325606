import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { startCompute } from "../../src/compute/client.ts";
import type { Compute } from "../../src/compute/protocol.ts";
import { tensorOf } from "../../src/wire/mod.ts";

const SETTINGS = { engine: "cpu", blas: "auto" } as const;
const openStub = () => new Worker(new URL("./stub_worker.ts", import.meta.url), { type: "module" });

async function withCompute(run: (compute: Compute) => Promise<void>): Promise<void> {
  const compute = await startCompute(SETTINGS, { open: openStub });
  try {
    await run(compute);
  } finally {
    await compute.close();
  }
}

async function becomesReady(compute: Compute): Promise<void> {
  for (let i = 0; i < 200 && !compute.isReady(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  ok(compute.isReady(), "the Worker was started again");
}

Deno.test("a call's tensors are given to the Worker and its answer's come back", () =>
  withCompute(async (compute) => {
    const A = tensorOf([2], Float32Array.of(1, 2));
    const answer = await compute.call("inverses", { order: "echo", layers: { a: { A } } });
    equal(A.data.buffer.detached, true);
    deepEqual(answer.layers!.a.A, tensorOf([2], Float32Array.of(1, 2)));
  }));

Deno.test("tensors that share a buffer are given away together", () =>
  withCompute(async (compute) => {
    const { buffer } = Float32Array.of(1, 2, 3);
    const A = tensorOf([1], new Float32Array(buffer, 0, 1));
    const G = tensorOf([2], new Float32Array(buffer, 4, 2));
    const { layers } = await compute.call("inverses", { order: "echo", layers: { a: { A, G } } });
    deepEqual(layers!.a.G, tensorOf([2], Float32Array.of(2, 3)));
  }));

Deno.test("what the Worker offers is known once it is ready", () =>
  withCompute((compute) => {
    deepEqual(compute.offer, { calls: ["inverses"], methods: [] });
    return Promise.resolve();
  }));

Deno.test("an engine that does not open fails the start with its own error", () =>
  rejects(startCompute({ ...SETTINGS, blas: "broken" }, { open: openStub }), {
    code: "unsupported",
    message: "no such library",
  }));

Deno.test("a refusal comes with its code and facts", () =>
  withCompute((compute) =>
    rejects(compute.call("inverses", { order: "refuse" }), {
      code: "not-positive-definite",
      facts: { layer: "a", pivot: 3 },
    })
  ));

Deno.test("aborting rejects at once and tells the Worker", () =>
  withCompute(async (compute) => {
    const leaving = new AbortController();
    const hanging = compute.call("inverses", { order: "hang" }, { signal: leaving.signal });
    leaving.abort();
    await rejects(hanging, { code: "aborted" });
    equal((await compute.device()).memory.tensors, 1, "this Worker counts the aborts it was told");
    await rejects(compute.call("inverses", { order: "echo" }, { signal: leaving.signal }), {
      code: "aborted",
    });
  }));

for (const order of ["crash", "lose"]) {
  Deno.test(`a Worker told to ${order} fails what was in flight and is started again`, () =>
    withCompute(async (compute) => {
      const hanging = compute.call("inverses", { order: "hang" });
      const lost = compute.call("inverses", { order });
      await rejects(hanging, { code: "device-lost" });
      await rejects(lost, { code: "device-lost" });
      equal(compute.isReady(), false);
      await rejects(compute.call("inverses", { order: "echo" }), { code: "device-lost" });
      await becomesReady(compute);
      deepEqual(await compute.call("inverses", { order: "echo" }), { order: "echo" });
    }));
}

Deno.test("close() waits for what was taken and takes nothing more", async () => {
  const compute = await startCompute(SETTINGS, { open: openStub });
  const slow = compute.call("inverses", { order: "slow" });
  const closed = compute.close();
  equal(compute.isReady(), false);
  await rejects(compute.call("inverses", { order: "echo" }), { code: "draining" });
  deepEqual(await slow, {});
  await closed;
});

Deno.test("close() ends also while a lost Worker waits to be started again", async () => {
  const compute = await startCompute(SETTINGS, { open: openStub });
  await rejects(compute.call("inverses", { order: "lose" }), { code: "device-lost" });
  await compute.close();
  equal(compute.isReady(), false);
});

Deno.test("close() ends a Worker that does not finish, when its time is over", async () => {
  const compute = await startCompute(SETTINGS, { open: openStub });
  const hanging = compute.call("inverses", { order: "hang" });
  const closed = compute.close(50);
  await rejects(hanging, { code: "draining" });
  await closed;
});

Deno.test("a Worker that was lost while it opened is not taken for ready", async () => {
  const names = ["first", "lost while it opens", "third"];
  const opened: string[] = [];
  const open = () => {
    const name = names[opened.length];
    opened.push(name);
    const url = new URL("./stub_worker.ts", import.meta.url);
    return new Worker(url, { type: "module", name });
  };
  const compute = await startCompute(SETTINGS, { open });
  await rejects(compute.call("inverses", { order: "lose" }), { code: "device-lost" });
  await becomesReady(compute);
  deepEqual(opened, names, "it was ready before the third had opened");
  deepEqual(await compute.call("inverses", { order: "echo" }), { order: "echo" });
  await compute.close();
});
