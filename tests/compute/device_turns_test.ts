import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { DeviceTurns, GATHER_MS, LANES_MS } from "../../src/compute/device_turns.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Turns that note who was in them. */
function noted() {
  const sizes: number[] = [];
  const turns = new DeviceTurns(({ works }) => sizes.push(works));
  return { turns, sizes };
}

Deno.test("what waits at the same time shares a turn, what is taken alone does not", async () => {
  const { turns, sizes } = noted();
  let alone = 0, most = 0, running = 0;
  const work = async () => {
    most = Math.max(most, ++running);
    await pause(1);
    running--;
  };
  const lonely = async () => {
    equal(running, 0);
    alone++;
    await pause(1);
    equal(running, 0);
  };
  await Promise.all([
    turns.together(work),
    turns.together(work),
    turns.alone(lonely),
    turns.alone(lonely),
    turns.together(work),
    turns.together(work),
    turns.together(work),
  ]);
  await pause(1); // a turn is told of when it is over
  deepEqual(sizes, [2, 1, 1, 3]);
  deepEqual([alone, most], [2, 3]);
});

Deno.test("turns are in the order in which work came", async () => {
  const { turns } = noted();
  const order: number[] = [];
  await Promise.all([0, 1, 2, 3, 4, 5].map((at) =>
    (at % 2 ? turns.alone : turns.together)(() => {
      order.push(at);
      return Promise.resolve();
    })
  ));
  deepEqual(order, [0, 1, 2, 3, 4, 5]);
});

Deno.test("work that fails fails alone, and the next turn comes", async () => {
  const { turns } = noted();
  const failing = turns.together(() => Promise.reject(new Error("no")));
  const beside = turns.together(() => Promise.resolve(1));
  await rejects(failing, { message: "no" });
  equal(await beside, 1);
  equal(await turns.alone(() => Promise.resolve(2)), 2);
});

Deno.test("after a turn with company the next waits for company, after rest it does not", async () => {
  const { turns, sizes } = noted();
  const answered = () => turns.together(() => pause(1));
  await Promise.all([answered(), answered(), answered()]);
  const again = answered(); // the first to come back
  await pause(0); // the others need a moment
  await Promise.all([again, answered(), answered()]);
  await pause(1);
  deepEqual(sizes, [3, 3]);

  await pause(5 * GATHER_MS);
  const begun = performance.now();
  let waited = Infinity;
  await turns.together(() => {
    waited = performance.now() - begun;
    return Promise.resolve();
  });
  ok(waited < GATHER_MS, `${waited} ms for nobody`);
});

Deno.test("long work that is done lane by lane comes in whole rounds", async () => {
  const { turns, sizes } = noted();
  turns.lanes = 2;
  const take = (works: number, ms: number) =>
    Promise.all(Array.from({ length: works }, () => turns.together(() => pause(ms))));
  await take(2, LANES_MS + 4);
  await take(5, LANES_MS + 4);
  await pause(1);
  deepEqual(sizes, [2, 2, 2, 1]);
});

Deno.test("short work, and work of a device that takes all at once, shares one turn", async () => {
  for (const [lanes, ms] of [[2, 0], [undefined, LANES_MS + 4]]) {
    const { turns, sizes } = noted();
    turns.lanes = lanes;
    const take = (works: number) =>
      Promise.all(Array.from({ length: works }, () => turns.together(() => pause(ms!))));
    await take(2);
    await take(7);
    await pause(1);
    deepEqual(sizes, [2, 7]);
  }
});
