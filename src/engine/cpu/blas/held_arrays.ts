/**
 * Keeps the arrays of calls that are under way.
 *
 * A nonblocking call is given pointers: nothing tells the garbage collector that a library on another thread still reads a
 * length or writes into its workspace. What the caller has no more use for would be freed under the call, and the heap with
 * it damaged.
 *
 * @module
 */
import { type BlasLibrary, SYMBOLS } from "./symbols.ts";

type Call = (...values: unknown[]) => Promise<unknown>;

/** What calls that have not returned were given. */
const underWay = new Set<readonly unknown[]>();

/** The same library, whose nonblocking calls hold what they were given until they return. */
export function holdingArrays({ symbols }: BlasLibrary): BlasLibrary["symbols"] {
  const held = Object.entries(symbols).map(([name, call]) => {
    const isNonblocking = "nonblocking" in SYMBOLS[name as keyof typeof SYMBOLS];
    return [name, isNonblocking ? holding(call as Call) : call];
  });
  return Object.fromEntries(held);
}

function holding(call: Call): Call {
  return async (...values) => {
    underWay.add(values);
    try {
      return await call(...values);
    } finally {
      underWay.delete(values);
    }
  };
}
