import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { HANDING_MS, shareOf, sharesOf } from "@/linalg/crew/shares.ts";
import { estimatedMs, type Operation, type Task } from "@/linalg/crew/task.ts";

const OPERATIONS: Operation[] = ["inverse", "whitener", "root", "eigh"];

const tasks = fc.array(
  fc.record({ operation: fc.constantFrom(...OPERATIONS), d: fc.integer({ min: 1, max: 512 }) }),
  { maxLength: 40 },
).map((list) =>
  list.map(({ operation, d }): Task => ({
    operation,
    matrix: { name: "M", matrix: new Float32Array(0), d },
    shift: 1,
    root: 2,
    verifyFully: false,
  }))
);

Deno.test("sharesOf() gives every task to one thread, and no thread much more than its part", () => {
  fc.assert(fc.property(tasks, fc.integer({ min: 0, max: 7 }), (list, helpers) => {
    const shares = sharesOf(list, [0, ...Array<number>(helpers).fill(HANDING_MS)]);
    deepEqual(shares.flat().sort((x, y) => x - y), list.map((_, place) => place));
    const costs = list.map(estimatedMs);
    const loads = shares.map((places) => places.reduce((sum, place) => sum + costs[place], 0));
    const total = costs.reduce((sum, cost) => sum + cost, 0);
    const bound = total / (helpers + 1) + Math.max(0, ...costs) + HANDING_MS;
    ok(loads.every((load) => load <= bound * (1 + 1e-12)), `${loads} of ${total}`);
  }));
});

Deno.test("sharesOf() keeps this thread busy while work is on its way to the helpers", () => {
  const one = { operation: "inverse", matrix: { name: "M", matrix: new Float32Array(0), d: 64 } };
  const list = Array<Task>(16).fill({ ...one, shift: 1, root: 1, verifyFully: false } as Task);
  const [own, helped] = sharesOf(list, [0, HANDING_MS]);
  ok(own.length > helped.length && helped.length > 0, `${own.length} and ${helped.length}`);
});

Deno.test("shareOf() takes at least one, at most half of an even part of what waits, and in the end all", () => {
  const some = tasks.filter((list) => list.length > 0);
  fc.assert(fc.property(some, fc.integer({ min: 1, max: 8 }), (list, helpers) => {
    for (let queue = list; queue.length > 0;) {
      const share = queue.slice(0, shareOf(queue, helpers));
      ok(share.length >= 1);
      const ms = costOf(share);
      const most = Math.max(1, costOf(queue) / (2 * helpers));
      ok(share.length === 1 || ms <= most * (1 + 1e-12), `${ms} of ${costOf(queue)}`);
      queue = queue.slice(share.length);
      ok(queue.length === 0 || ms + estimatedMs(queue[0]) > most * (1 - 1e-12));
    }
  }));
});

function costOf(list: readonly Task[]): number {
  return list.reduce((sum, task) => sum + estimatedMs(task), 0);
}
