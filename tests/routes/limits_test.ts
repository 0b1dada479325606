/** What a slow, greedy or vanishing client can hold: over real sockets, with limits made small. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { LogRecord } from "@logtape/logtape";
import { Admission } from "@/admission/mod.ts";
import { configureLog } from "../../src/log.ts";
import { listen, type Listener, type ListenerLimits } from "../../routes/listen.ts";
import { appWith, inverseAnswer, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

const SHORT = { checkEveryMs: 50, headersMs: 300, requestMs: 600, stallMs: 300 };

async function listening(
  run: (url: URL, listener: Listener) => Promise<void>,
  limits: Partial<ListenerLimits> = {},
  size = 2,
  admission?: Admission,
): Promise<void> {
  const app = appWith(() => inverseAnswer(size), { admission });
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 }, { ...SHORT, ...limits });
  try {
    await run(new URL(listener.url), listener);
  } finally {
    await listener.close();
    app.codec.close();
  }
}

const isLive = async (url: URL) => {
  const response = await fetch(new URL("/health/live", url), { headers: { connection: "close" } });
  return (await response.text()) === '{"status":"live"}';
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A connection whose end and bytes are kept. */
function open({ hostname, port }: URL, localAddress?: string) {
  const socket = connect({ host: hostname, port: Number(port), localAddress });
  let received = "";
  socket.on("data", (bytes) => received = (received + bytes.toString()).slice(-4096));
  socket.on("error", () => {}); // a reset is one way of ending it
  const closed = once(socket, "close").then(() => received);
  return { socket, closed, received: () => received };
}

/** Writes a piece every 20 ms until the connection ends. */
async function drip(socket: Socket, piece: (i: number) => string): Promise<void> {
  for (let i = 0; !socket.destroyed && !socket.writableEnded && i < 200; i++) {
    socket.write(piece(i), () => {});
    await pause(20);
  }
}

Deno.test("twenty clients that never finish their headers are let go, and others served meanwhile", () =>
  listening(async (url) => {
    const slow = Array.from({ length: 20 }, () => open(url));
    for (const { socket } of slow) {
      socket.write("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n");
      drip(socket, (i) => `X-${i}: y\r\n`);
    }
    ok(await isLive(url));
    for (const answer of await Promise.all(slow.map(({ closed }) => closed))) {
      match(answer, /^HTTP\/1\.1 408 /);
    }
  }));

Deno.test("a client that connects and says nothing is let go", () =>
  listening(async (url) => {
    match(await open(url).closed, /^HTTP\/1\.1 408 /);
  }));

Deno.test("a client that drips its body is let go when the request's time is over", () =>
  listening(async (url) => {
    const { socket, closed } = open(url);
    socket.write(
      "POST /v1/inverses HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
        "Content-Length: 100000\r\n\r\n",
    );
    drip(socket, () => " ");
    match(await closed, /^HTTP\/1\.1 408 /);
    ok(await isLive(url));
  }));

/** A body that is announced, begun and not sent. */
const stalledHead = (more = "") =>
  "POST /v1/inverses HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
  `Content-Length: 500\r\n${more}\r\n{`;

Deno.test("a deadline is one for the body too, and with it its place in the queue is free", () =>
  listening(
    async (url) => {
      const stalled = Array.from({ length: 4 }, () => open(url));
      for (const { socket } of stalled) socket.write(stalledHead("Curvd-Timeout-Ms: 300\r\n"));
      await pause(100);
      const ask = () =>
        fetch(new URL("/v1/inverses", url), {
          method: "POST",
          headers: { ...JSON_HEADERS, connection: "close" },
          body: INVERSES,
        });
      const refused = await ask();
      equal(refused.status, 429);
      await refused.text();
      for (const answer of await Promise.all(stalled.map(({ closed }) => closed))) {
        match(answer, /^HTTP\/1\.1 504 /);
      }
      const served = await ask();
      equal(served.status, 200);
      await served.text();
    },
    { requestMs: 60_000 },
    2,
    new Admission({ requests: 4, bytes: Infinity }),
  ));

Deno.test("a body of which nothing comes for ten seconds is given up", () =>
  listening(async (url) => {
    const { socket, closed } = open(url);
    socket.write(stalledHead());
    const begun = performance.now();
    const answer = await closed;
    match(answer, /^HTTP\/1\.1 408 /);
    match(answer, /"type":"\/problems\/body-stalled"/);
    ok(performance.now() - begun >= 9_900);
  }, { requestMs: 60_000 }));

Deno.test("headers without end are cut off at 16 KiB with 431", () =>
  listening(async (url) => {
    const { socket, closed } = open(url);
    socket.write("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    let sent = 0;
    while (!socket.destroyed && !socket.writableEnded && sent < 2 ** 20) {
      socket.write("A: b\r\n".repeat(100), () => {});
      sent += 600;
      await pause(0);
    }
    match(await closed, /^HTTP\/1\.1 431 /);
    ok(sent < 2 ** 19, `${sent} bytes of headers were taken`);
  }));

Deno.test("one address can have its share of the connections, and others still come in", () =>
  listening(async (url) => {
    const flood = Array.from({ length: 10 }, () => open(url));
    await Promise.all(flood.slice(3).map(({ closed }) => closed));
    for (const { socket } of flood.slice(0, 3)) equal(socket.destroyed, false);

    const other = open(url, "127.0.0.2");
    other.socket.write("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    match(await other.closed, /"live"/);

    for (const { socket } of flood) socket.destroy();
    await pause(50);
    ok(await isLive(url)); // the places are free again
  }, { connectionsOfOne: 3, headersMs: 5000, requestMs: 5000 }));

Deno.test("beyond the connections of all the next is let go, whose ever it is", () =>
  listening(async (url) => {
    const held = ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map((from) => open(url, from));
    await Promise.all(held.map(({ socket }) => once(socket, "connect")));
    await open(url, "127.0.0.4").closed;
    for (const { socket } of held) {
      equal(socket.destroyed, false);
      socket.destroy();
    }
    await pause(50);
    ok(await isLive(url));
  }, { connections: 3, headersMs: 5000, requestMs: 5000 }));

const ASK_FOR_MUCH = [
  "POST /v1/inverses HTTP/1.1",
  "Host: 127.0.0.1",
  "Content-Type: application/json",
  "Accept: application/vnd.safetensors",
  `Content-Length: ${INVERSES.length}`,
  "",
  INVERSES,
].join("\r\n");

Deno.test("a client that asks for 64 MiB and reads nothing is let go, and the log says so", async () => {
  const events: LogRecord[] = [];
  configureLog({ format: "json", level: "info" }, (event) => events.push(event));
  await listening(
    async (url) => {
      const { hostname, port } = url;
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on("error", () => {});
      socket.pause();
      socket.write(ASK_FOR_MUCH);
      for (let i = 0; i < 100 && events.length === 0; i++) await pause(50);
      const isEnded = events.length > 0;
      socket.destroy();
      ok(isEnded, "the server has ended it");
      ok(await isLive(url));
    },
    {},
    4096,
  );
  const [{ properties }] = events;
  equal(properties.client_left, true);
  ok((properties.bytes_out as number) > 2 ** 26);
});

Deno.test("a reader that is slow but reads is served to the end", () =>
  listening(
    async (url) => {
      const response = await fetch(new URL("/v1/inverses", url), {
        method: "POST",
        body: INVERSES,
        headers: { ...JSON_HEADERS, accept: "application/vnd.safetensors" },
      });
      const size = Number(response.headers.get("content-length"));
      let read = 0;
      for await (const chunk of response.body!) {
        read += chunk.length;
        if (read % 2 ** 22 < chunk.length) await pause(100); // longer in sum than a stall
      }
      equal(read, size);
    },
    { stallMs: 1000 },
    4096,
  ));

Deno.test("fifty clients that die in mid-download leave a server that answers right", () =>
  listening(
    async (url) => {
      const dying = Array.from({ length: 50 }, async () => {
        const { socket, closed } = open(url);
        socket.write(ASK_FOR_MUCH);
        await once(socket, "data");
        socket.destroy();
        await closed;
      });
      await Promise.all(dying);
      const response = await fetch(new URL("/v1/inverses", url), {
        method: "POST",
        body: INVERSES,
        headers: JSON_HEADERS,
      });
      const { layers } = await response.json();
      equal(layers.fc1.A_inv.length, 512);
      ok(layers.fc1.A_inv.flat().every((value: number) => value === 0.1));
    },
    {},
    512,
  ));

Deno.test("fifty clients that die in mid-upload are told in the log, and leave a server that answers", async () => {
  const events: LogRecord[] = [];
  configureLog({ format: "json", level: "info" }, (event) => events.push(event));
  await listening(async (url) => {
    const dying = Array.from({ length: 50 }, async (_, i) => {
      const { socket, closed } = open(url);
      await once(socket, "connect");
      socket.write(ASK_FOR_MUCH.slice(0, -1 - i % 40));
      await pause(i % 10);
      socket.destroy();
      await closed;
    });
    await Promise.all(dying);
    ok(await isLive(url));
    for (let i = 0; i < 40 && events.length < 50; i++) await pause(25);
  });
  equal(events.length, 50);
  for (const { properties } of events) {
    deepEqual([properties.status, properties.problem], [499, "aborted"]);
  }
});

const MANY: Record<string, [body: () => BodyInit, type: string, status: number, limit?: number]> = {
  "16 385 tensors": [
    () => {
      const entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
      const header = `{${
        Array.from({ length: 16_385 }, (_, i) => `"${i.toString(36)}.A":${entry}`).join()
      }}`;
      const file = new Uint8Array(8 + header.length);
      new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
      file.set(new TextEncoder().encode(header), 8);
      return file;
    },
    "application/vnd.safetensors",
    400,
    16_384,
  ],
  "4097 layers": [
    () => {
      const layers = Array.from({ length: 4097 }, (_, i) => [`l${i}`, { A: [[1]] }]);
      return JSON.stringify({ damping: 1, layers: Object.fromEntries(layers) });
    },
    "application/json",
    422,
  ],
  "33 levels of JSON": [
    () => `{"layers":${"[".repeat(32)}${"]".repeat(32)}}`,
    "application/json",
    400,
    32,
  ],
};

for (const [what, [body, type, status, limit]] of Object.entries(MANY)) {
  Deno.test(`a body of ${what} is refused with ${status}`, async () => {
    let computed = 0;
    const app = appWith(() => {
      computed++;
      return inverseAnswer();
    });
    const response = await app.request("/v1/inverses", {
      method: "POST",
      body: body(),
      headers: { "content-type": type },
    });
    const problem = await response.json();
    equal(response.status, status, JSON.stringify(problem));
    equal(problem.limit, limit);
    equal(computed, 0);
    app.codec.close();
  });
}
