/**
 * Takes turns between our work and that of peers, so that load on the machine meets all alike.
 *
 * @module
 */
import { median, repeatsFor, timeOf } from "./timing.ts";

export interface Contender {
  readonly name: string;
  /** Milliseconds of each of so many runs. */
  times(repeats: number): Promise<number[]>;
}

export interface Result {
  /** Medians in milliseconds. */
  readonly ours: number;
  /** The fastest peer. */
  readonly peer: string;
  readonly theirs: number;
}

const TURNS = 3;

/** Work of this process as a contender. */
export function here(name: string, run: () => Promise<unknown>): Contender {
  return {
    name,
    async times(repeats) {
      const times: number[] = [];
      for (let at = 0; at < repeats; at++) times.push(await timeOf(run));
      return times;
    },
  };
}

/**
 * Runs all after a warm-up, in turns; as many repeats a turn as fit `seconds`: of small work so many that a turn outlasts the
 * threads of the turn before it, which spin for some 30 ms.
 */
export async function contest(
  ours: Contender,
  peers: readonly Contender[],
  { seconds = 1, most = 1000 }: { seconds?: number; most?: number } = {},
): Promise<Result> {
  const [cold] = await ours.times(1);
  await ours.times(repeatsFor(cold, { seconds, most })); // compiled code is what serves
  const [warm] = await ours.times(1);
  const repeats = repeatsFor(warm, { seconds, most });
  const all = [ours, ...peers];
  const times = all.map((): number[] => []);
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [at, contender] of all.entries()) times[at].push(...await contender.times(repeats));
  }
  const [mine, ...medians] = times.map(median);
  const fastest = medians.indexOf(Math.min(...medians));
  return { ours: mine, peer: peers[fastest]?.name ?? "none", theirs: medians[fastest] ?? NaN };
}
