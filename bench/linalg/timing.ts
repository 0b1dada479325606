/** Middle of the sorted times; of an even number the lower of the two. */
export function median(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1];
}

/** Milliseconds of one run. */
export async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** As many repeats as fit the seconds, at least three and at most `most`. */
export function repeatsFor(
  ms: number,
  { seconds, most }: { seconds: number; most: number },
): number {
  return Math.max(3, Math.min(most, Math.floor(seconds * 1e3 / Math.max(ms, 0.01))));
}
