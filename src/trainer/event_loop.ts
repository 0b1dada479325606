/** A turn of the event loop, which steps that are all computing would never let happen. @module */

/** As Node and Deno have it; browsers do not. */
const immediately: (resolve: () => void) => unknown =
  (globalThis as { setImmediate?: (resolve: () => void) => unknown }).setImmediate ?? setTimeout;

/** Lets answers arrive, timers run and signals be heard. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => immediately(() => resolve()));
}
