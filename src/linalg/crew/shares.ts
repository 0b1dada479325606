/**
 * Who of a crew does which tasks.
 *
 * The longest first, each to whoever would be done with it soonest. Who solves a task has no influence on its bits.
 *
 * @module
 */
import { estimatedMs, type Task } from "./task.ts";

/** What it takes to hand work to another thread of JavaScript and to get it back. */
export const HANDING_MS = 0.12;

/** Places of tasks in the list, by who does them. @param busyMs of each one: when it is done with what it has. */
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
