/** A thousand mixed requests over HTTP, good and bad, ten of them given up by the client, leave nothing on the device. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { startCompute } from "../../src/compute/mod.ts";
import { Codec } from "../../src/wire/mod.ts";
import { listen } from "../../routes/listen.ts";
import { createApp } from "../../routes/mod.ts";

const REQUESTS = 1000, ABORTED = 10;

const factor = (d: number) =>
  Array.from(
    { length: d },
    (_, i) => Array.from({ length: d }, (_, j) => i === j ? 2 + i : 1 / (1 + Math.abs(i - j))),
  );
const rows = (n: number, d: number) =>
  Array.from({ length: n }, (_, i) => Array.from({ length: d }, (_, j) => Math.sin(1 + i * d + j)));
const batch = { inputs: rows(6, 4), output_gradients: rows(6, 3) };
const dense = { kind: "dense", bias: false, ...batch };
const gradient = rows(3, 4);

/** What a busy server gets: every call, several methods, and requests it must refuse at every stage. */
const MIX: readonly [call: string, status: number, body: unknown][] = [
  ["factors", 200, { layers: { l: dense } }],
  ["inverses", 200, { damping: 0.1, layers: { l: { A: factor(5), G: factor(3) } } }],
  ["inverses", 422, { damping: 0, layers: { l: { A: [[1, 1], [1, 1]] } } }],
  ["inverses", 422, { damping: 1, layers: { l: { A: [[1, 2], [2, 1]] } } }],
  ["eigenbases", 200, { layers: { l: { A: factor(8) } } }],
  ["scalings", 200, { layers: { l: { ...dense, Q_A: identity(4), Q_G: identity(3) } } }],
  ["inverse-roots", 200, { power: 4, damping: 0.1, layers: { l: { M: factor(6) } } }],
  ["kronecker-terms", 200, { method: "deflation", layers: { l: dense } }],
  ["approximation-errors", 200, { methods: ["kfac", "ekfac"], layers: { l: dense } }],
  ...["kfac", "ekfac", "kfac_corrected", "tkfac", "kfac_two_level", "mbf"].map((method) =>
    ["updates", 200, { method, damping: 0.1, layers: { l: { ...dense, gradient } } }] as [
      string,
      number,
      unknown,
    ]
  ),
  ["updates", 200, {
    damping: [0.1, 1],
    layers: { l: { kind: "dense", bias: false, A: factor(4), G: factor(3), gradient } },
  }],
  ["updates", 422, {
    method: "ekfac",
    damping: 0,
    layers: {
      l: {
        kind: "dense",
        bias: false,
        inputs: [[1, 1]],
        output_gradients: [[1, 0]],
        gradient: identity(2),
      },
    },
  }],
  ["updates", 422, { damping: 0.1, layers: { l: { ...dense, gradient: rows(2, 2) } } }],
  ["inverses", 200, {
    damping: 0.1,
    on_error: "skip",
    layers: { good: { A: factor(3) }, bad: { A: [[1, 2], [2, 1]] } },
  }],
];

function identity(d: number): number[][] {
  return Array.from({ length: d }, (_, i) => Array.from({ length: d }, (_, j) => Number(i === j)));
}

Deno.test("a thousand mixed requests, ten of them aborted, leave no tensor on the device", async () => {
  const compute = await startCompute({ engine: "cpu", blas: "auto" });
  const codec = new Codec();
  const app = createApp({ compute, codec, maxBodyBytes: 2 ** 28 });
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 });
  const send = (at: number, signal?: AbortSignal) => {
    const [call, status, body] = MIX[at % MIX.length];
    return fetch(`${listener.url}/v1/${call}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    }).then(async (response) => {
      const text = await response.text();
      equal(response.status, status, `${call}: ${text.slice(0, 300)}`);
    });
  };
  try {
    for (let at = 0; at < MIX.length; at++) await send(at); // each once, before the count
    const before = (await compute.device()).memory;
    let aborted = 0;
    const every = Math.floor(REQUESTS / ABORTED);
    for (let at = 0; at < REQUESTS; at += 4) { // four clients at a time
      await Promise.all([at, at + 1, at + 2, at + 3].map(async (each) => {
        if (each % every !== 0) return await send(each);
        const leaving = new AbortController();
        const request = send(each, leaving.signal);
        setTimeout(() => leaving.abort(), each % 3);
        await request.catch((error) => {
          equal(error.name, "AbortError");
          aborted++;
        });
      }));
    }
    ok(aborted > 0, "no client left in time");
    const after = (await compute.device()).memory;
    equal(after.tensors, before.tensors);
    equal(after.bytes, before.bytes);
  } finally {
    await listener.close();
    await compute.close();
    codec.close();
  }
});
