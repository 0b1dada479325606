/**
 * Who of a crew does which tasks. It has no influence on their bits.
 *
 * @module
 */
import { estimatedMs, type Task } from "./task.ts";

/** What it takes to hand work to another thread of JavaScript and to get it back. */
export const HANDING_MS = 0.12;

/** A share is worth the way to another thread. */
const LEAST_SHARE_MS = 1;

/**
 * Places of tasks in the list, by who does them: the longest first, each to whoever would be done with it soonest.
 *
 * @param busyMs of each one, until it can begin.
 */
export function sharesOf(tasks: readonly Task[], busyMs: readonly number[]): number[][] {
  const shares = busyMs.map((doneAt) => ({ places: [] as number[], doneAt }));
  const costs = tasks.map(estimatedMs);
  const longestFirst = costs.map((_, place) => place).sort((x, y) => costs[y] - costs[x] || x - y);
  for (const place of longestFirst) {
    const soonest = shares.reduce((best, share) => share.doneAt < best.doneAt ? share : best);
    soonest.places.push(place);
    soonest.doneAt += costs[place];
  }
  return shares.map(({ places }) => places);
}

/**
 * How many of the first in a queue go to a helper that rests: half of an even part of what waits, so that in the end all are done
 * at the same time (guided self-scheduling, Polychronopoulos & Kuck 1987).
 */
export function shareOf(queue: readonly Task[], helpers: number): number {
  const costs = queue.map(estimatedMs);
  const total = costs.reduce((sum, cost) => sum + cost, 0);
  const most = Math.max(LEAST_SHARE_MS, total / (2 * helpers));
  let length = 1;
  for (let ms = costs[0]; length < queue.length; length++) {
    ms += costs[length];
    if (ms > most) break;
  }
  return length;
}
