/**
 * A short form of `deno task bench:faults`: the mix must pass on the server, and must not on one that
 * falsifies a single number.
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { FAULTS } from "../../bench/reliability/faults.ts";
import { type MixOptions, runMix } from "../../bench/reliability/mix.ts";
import { bugsIn, startServerProcess } from "../../bench/reliability/server_process.ts";
import { startFlippingProxy } from "./flipping_proxy.ts";

const QUIET: MixOptions = {
  seconds: 2,
  seed: 11,
  callers: 3,
  trainers: 0,
  workerFaultMs: Infinity,
  clientFaultMs: Infinity,
};

Deno.test("while clients die, bodies are wrong and the compute Worker is killed, every answer is right", async () => {
  const server = await startServerProcess();
  const { tally } = await runMix(server, {
    ...QUIET,
    seconds: 8,
    trainers: 2,
    workerFaultMs: 2_500,
    clientFaultMs: 400,
  });
  const { code, printed } = await server.stop();
  deepEqual(tally.complaints, [], printed.slice(-4000));
  equal(code, 0);
  deepEqual(bugsIn(printed), []);
  for (const kind of Object.keys(FAULTS)) ok(tally.faults.has(kind), `no "${kind}" happened`);
  ok(tally.checked > 30, `only ${tally.checked} answers were checked`);
  ok(tally.withStatus((status) => status === 503) > 0, "no request met a lost Worker");
  equal(tally.withStatus((status) => status >= 500 && status !== 503), 0);
});

Deno.test("one number of one answer with the wrong sign is caught", async () => {
  const server = await startServerProcess();
  const honest = startFlippingProxy(server.url, Infinity);
  const { tally: clean } = await runMix(server, { ...QUIET, url: honest.url });
  await honest.stop();
  deepEqual(clean.complaints, []);

  const falsifying = startFlippingProxy(server.url, 3);
  const { tally } = await runMix(server, { ...QUIET, url: falsifying.url });
  await falsifying.stop();
  await server.stop();
  equal(falsifying.flipped(), 1);
  equal(tally.wrongs, 1, "the one false answer is complained of, and no other");
  match(tally.complaints[0], /: off by /);
});
