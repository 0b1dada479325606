import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import {
  type Lane,
  LARGEST_SINGLE_SIDE,
  LARGEST_SMALL_SIDE,
  LEAST_SHARED_PRODUCT,
  ThreadGate,
} from "@/engine/cpu/blas/threads.ts";

const SMALL = LARGEST_SINGLE_SIDE, LARGE = LARGEST_SINGLE_SIDE + 1;

/** A gate with a log of what ran under which number of threads. */
function observed(cores: number) {
  let threads = 0, running = 0;
  const seen: { side: number; threads: number; beside: number }[] = [];
  const gate = new ThreadGate(cores, (count) => {
    equal(running, 0, "the number of threads changed under a call");
    threads = count;
  });
  const call = (side: number) =>
    gate.run(side, async () => {
      seen.push({ side, threads, beside: running++ });
      await new Promise((resolve) => setTimeout(resolve, 0));
      running--;
    });
  return { gate, call, seen };
}

Deno.test("the gate runs small matrices together with one thread, no more than there are cores", async () => {
  const { call, seen } = observed(3);
  await Promise.all(Array.from({ length: 7 }, () => call(SMALL)));
  ok(seen.every(({ threads }) => threads === 1));
  equal(Math.max(...seen.map(({ beside }) => beside)), 2);
});

Deno.test("the gate runs a large matrix alone with all threads", async () => {
  const { call, seen } = observed(4);
  await Promise.all([call(SMALL), call(LARGE), call(LARGE), call(SMALL)]);
  deepEqual(seen.map(({ side, threads, beside }) => [side, threads, beside]), [
    [SMALL, 1, 0],
    [LARGE, 4, 0],
    [LARGE, 4, 0],
    [SMALL, 1, 0],
  ]);
});

Deno.test("the gate's number of threads follows the side alone, whatever comes in what order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(SMALL, LARGE), { maxLength: 12 }),
      fc.integer({ min: 1, max: 4 }),
      async (sides, cores) => {
        const { call, seen } = observed(cores);
        await Promise.all(sides.map(call));
        deepEqual(seen.map(({ side }) => side), sides, "none overtakes");
        ok(seen.every(({ side, threads }) => threads === (side === SMALL ? 1 : cores)));
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("the gate counts no lane for work on threads of its own, which is beside small matrices and never large ones", async () => {
  const { gate, call, seen } = observed(2);
  const ends: (() => void)[] = [];
  const elsewhere = () => gate.runElsewhere(() => new Promise<void>((end) => ends.push(end)));
  const all = [elsewhere(), elsewhere(), elsewhere(), call(SMALL), call(LARGE), elsewhere()];
  await new Promise((resolve) => setTimeout(resolve, 2));
  deepEqual(seen.map(({ side, threads }) => [side, threads]), [[SMALL, 1]]);
  equal(ends.length, 3, "what comes behind a large matrix waits for it");
  for (const end of ends.splice(0)) end();
  await all[4];
  deepEqual(seen.at(-1), { side: LARGE, threads: 2, beside: 0 });
  await new Promise((resolve) => setTimeout(resolve, 2));
  for (const end of ends) end();
  await Promise.all(all);
});

Deno.test("the gate lets the next in when a call throws", async () => {
  const { gate, call, seen } = observed(2);
  const failed = gate.run(LARGE, () => Promise.reject(new Error("on purpose")));
  const next = call(LARGE);
  await failed.catch(() => {});
  await next;
  equal(seen.length, 1);
});

Deno.test("the gate gives a blocking product the threads of its size, but none anew inside work", async () => {
  let threads = 0;
  const gate = new ThreadGate(4, (count) => threads = count);
  gate.prepare(LEAST_SHARED_PRODUCT);
  equal(threads, 4);
  gate.prepare(LEAST_SHARED_PRODUCT - 1);
  equal(threads, 1);
  await gate.run(SMALL, () => {
    gate.prepare(LEAST_SHARED_PRODUCT);
    equal(threads, 1);
    return Promise.resolve();
  });
});

/** The lanes that pieces of work on these sides are given, all asked for at once. */
async function lanesOf(sides: readonly number[], cores: number): Promise<Lane[]> {
  const gate = new ThreadGate(cores, () => {});
  return await Promise.all(sides.map((side) =>
    gate.run(side, async (lane) => {
      if (lane === "pool") await new Promise((resolve) => setTimeout(resolve, 5));
      return lane;
    })
  ));
}

Deno.test("a small matrix alone is solved on the calling thread, a larger one on the pool's", async () => {
  deepEqual(await lanesOf([LARGEST_SMALL_SIDE], 2), ["here"]);
  deepEqual(await lanesOf([LARGEST_SMALL_SIDE + 1], 2), ["pool"]);
});

Deno.test("of many small matrices all lanes but one are the pool's, and the calling thread is the last", async () => {
  const lanes = await lanesOf(Array<number>(12).fill(LARGEST_SMALL_SIDE), 3);
  deepEqual(lanes.slice(0, 3), ["pool", "pool", "here"]);
  ok(lanes.filter((lane) => lane === "here").length > 1, "the calling thread is taken again");
});
