/**
 * The cpu engine with a BLAS against scipy and torch with as many threads.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import { type Engine, openEngine } from "@/engine/mod.ts";
import { startHelpers } from "@/linalg/mod.ts";
import { type Contender, contest, here } from "./contest.ts";
import { factor } from "./matrices.ts";
import type { Peer } from "./peer.ts";
import { type Row, row } from "./row.ts";
import { type Operation, solve } from "./solve.ts";

/** So many matrices of a size in one call. */
export interface Work {
  readonly batch: number;
  readonly n: number;
}

/** A call of many against a loop of theirs. */
const BATCH_BAR = 0.6;

export async function* cpuRows(
  works: readonly Work[],
  peers: readonly Peer[],
): AsyncGenerator<Row> {
  const engine = await openEngine({ engine: "cpu", blas: "auto" });
  if (engine.facts.blas === null) throw new Error("Cannot bench the cpu engine: no BLAS was found");
  await startHelpers(engine);
  for (const work of works) {
    yield await rowOf(engine, "eigh", work, peers);
    yield await rowOf(engine, "inverse", work, peers);
  }
}

async function rowOf(
  engine: Engine,
  operation: Operation,
  { batch, n }: Work,
  peers: readonly Peer[],
): Promise<Row> {
  const matrices = Array.from({ length: batch }, (_, at) => factor(n, n + at));
  const [{ residual }] = await solve(engine, operation, matrices);
  const result = await contest(
    here("curvd", () => solve(engine, operation, matrices)),
    peers.map((peer): Contender => ({
      name: peer.version,
      times: async (repeats) => (await peer.ask({ op: operation, n, batch, repeats })).ms,
    })),
  );
  dispose(matrices);
  const work = `${operation} ${batch === 1 ? n : `${batch}×${n}`}`;
  const bar = batch > 1 ? BATCH_BAR : barOf(operation, n);
  return row({ engine: "cpu", work, ...result, bar, residual });
}

/** At 1024 most of the peers' inverse is copying and symmetrizing. */
function barOf(operation: Operation, n: number): number {
  return operation === "inverse" && n === 1024 ? 0.5 : 1.05;
}
