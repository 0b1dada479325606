/**
 * Talks to the service from within its network: waits for health, checks one call, then sends a
 * request whose second half it holds back until a line is written to it.
 *
 *   deno run --allow-net=127.0.0.1 src/deploy/replay/probe.ts <port>
 *
 * Prints `ready`, the engine, `call`, `half`, and `whole` when the late request was answered.
 *
 * @module
 */
const [port] = Deno.args;
const url = `http://127.0.0.1:${port}`;
const MATRIX = [[2, 0.5], [0.5, 1]];
const INVERSE = [[1 / 1.75, -0.5 / 1.75], [-0.5 / 1.75, 2 / 1.75]];
const body = JSON.stringify({ layers: { fc1: { A: MATRIX } } });

for (let attempt = 0;; attempt++) {
  const isReady = await fetch(`${url}/health/ready`).then(async (response) => {
    await response.body?.cancel();
    return response.ok;
  }, () => false);
  if (isReady) break;
  if (attempt === 300) throw new Error("Not ready within 30 seconds");
  await new Promise((resolve) => setTimeout(resolve, 100));
}
console.log("ready");
const { engine, reason, blas } = await (await fetch(`${url}/v1/device`)).json();
console.log(`engine ${engine} with ${blas?.library ?? "no BLAS"}: ${reason}`);
const script = await fetch(`${url}/page/main.js`);
if (!script.ok) throw new Error(`The page's script is not there: ${await script.text()}`);
await script.body?.cancel();

const headers = { "content-type": "application/json" };
check(await (await fetch(`${url}/v1/inverses`, { method: "POST", body, headers })).json());
const session = JSON.stringify({
  id: "kept",
  method: "kfac",
  damping: 0.1,
  layers: { fc1: { kind: "dense", d_in: 2, d_out: 1 } },
});
const created = await fetch(`${url}/v1/sessions`, { method: "POST", body: session, headers });
if (created.status !== 201) throw new Error(`The session was not opened: ${await created.text()}`);
await created.body?.cancel();
console.log("call");

const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
const send = (text: string) => connection.write(new TextEncoder().encode(text));
await send(
  `POST /v1/inverses HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 9)}`,
);
console.log("half");
await Deno.stdin.read(new Uint8Array(1));
await send(body.slice(9));
const answer = await new Response(connection.readable).text();
if (!answer.startsWith("HTTP/1.1 200 ")) throw new Error(answer);
check(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))));
console.log("whole");

/** @throws Error where an answer is not the inverse. */
function check({ layers }: { layers: { fc1: { A_inv: number[][] } } }): void {
  const found = layers.fc1.A_inv.flat();
  const error = Math.hypot(...INVERSE.flat().map((value, at) => value - found[at]));
  if (!(error < 1e-6)) throw new Error(`Not the inverse: ${found}`);
}
