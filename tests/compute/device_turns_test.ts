import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { DeviceTurns, GATHER_MS, OPEN_MS } from "../../src/compute/device_turns.ts";

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

/** Pieces of work that end when they are told to, and those that have begun. */
function held() {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const work = (at: number) => () =>
    new Promise<void>((resolve) => {
      begun.push(at);
      ends[at] = resolve;
    });
  return { begun, ends, work };
}

Deno.test("into an open turn the next comes when one is done, and there are never more than lanes", async () => {
  const { turns, sizes } = noted();
  turns.lanes = 2;
  const { begun, ends, work } = held();
  const works = [0, 1, 2, 3].map((at) => turns.beside(work(at)));
  await pause(2);
  deepEqual(begun, [0, 1]);
  ends[1]();
  await works[1];
  await pause(0);
  deepEqual(begun, [0, 1, 2]);
  ends[0]();
  ends[2]();
  await pause(0);
  works.push(turns.beside(work(4))); // while the turn lasts
  await pause(0);
  deepEqual(begun, [0, 1, 2, 3, 4]);
  ends[3]();
  ends[4]();
  await Promise.all(works);
  await pause(1);
  deepEqual(sizes, [5]);
});

Deno.test("an open turn ends for whoever else is first in the queue", async () => {
  const { turns, sizes } = noted();
  turns.lanes = 4;
  const { begun, ends, work } = held();
  const first = turns.beside(work(0));
  const alone = turns.alone(work(1));
  const second = turns.beside(work(2));
  await pause(2);
  deepEqual(begun, [0], "neither the other kind of work, nor who came after it");
  ends[0]();
  await first;
  await pause(2);
  deepEqual(begun, [0, 1]);
  ends[1]();
  await alone;
  await pause(2);
  deepEqual(begun, [0, 1, 2]);
  ends[2]();
  await second;
  await pause(1);
  deepEqual(sizes, [1, 1, 1]);
});

Deno.test("an open turn ends after so many", async () => {
  const { turns, sizes } = noted();
  turns.lanes = 3;
  const most = DeviceTurns.mostTogether;
  await Promise.all(
    Array.from({ length: most + 1 }, () => turns.beside(() => Promise.resolve())),
  );
  await pause(1);
  deepEqual(sizes, [most, 1]);
});

Deno.test("an open turn ends after a time, as scopes of tensors do", async () => {
  const { turns, sizes } = noted();
  let isOver = false;
  setTimeout(() => isOver = true, 1.5 * OPEN_MS);
  const client = async () => {
    while (!isOver) await turns.beside(() => pause(20));
  };
  turns.lanes = 2;
  await Promise.all([client(), client()]);
  await pause(1);
  equal(sizes.length, 2);
});

Deno.test("work that fails in an open turn fails alone", async () => {
  const { turns } = noted();
  const failing = turns.beside(() => Promise.reject(new Error("no")));
  const beside = turns.beside(() => Promise.resolve(1));
  await rejects(failing, { message: "no" });
  equal(await beside, 1);
  equal(await turns.together(() => Promise.resolve(2)), 2);
});
