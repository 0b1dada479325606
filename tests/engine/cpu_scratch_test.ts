/** The memory that LAPACK works in: lent again, and not more of it than is said. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { Scratch } from "../../src/engine/cpu/blas/scratch.ts";

const MOST = 2 ** 26;

function lent(scratch: Scratch, length: number): Promise<Float32Array> {
  return scratch.lend(length, (array) => Promise.resolve(array));
}

Deno.test("Scratch lends what was given back to whoever asks for the same length", async () => {
  const scratch = new Scratch();
  const first = await lent(scratch, 100);
  equal(await lent(scratch, 100), first);
  ok(await lent(scratch, 101) !== first);
  const [one, other] = await Promise.all([lent(scratch, 100), lent(scratch, 100)]);
  ok(one !== other);
});

Deno.test("Scratch keeps the sizes that were asked for last", async () => {
  const scratch = new Scratch();
  const quarter = MOST / 4;
  const old = await lent(scratch, quarter);
  const kept = await lent(scratch, quarter + 1);
  const large = await lent(scratch, MOST - 2 * quarter - 2);
  const more = await lent(scratch, quarter - 1); // does not fit beside the three
  equal(await lent(scratch, quarter + 1), kept);
  equal(await lent(scratch, quarter - 1), more);
  equal(await lent(scratch, MOST - 2 * quarter - 2), large);
  ok(await lent(scratch, quarter) !== old);
});
