/** The listener over real sockets: what a slow, rude or vanishing client meets. */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { CurvdError } from "../../src/errors.ts";
import { decodeSafetensors } from "../../src/wire/mod.ts";
import { listen, type Listener } from "../../routes/listen.ts";
import { type Answering, appWith, inverseAnswer, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

async function listening(
  run: (url: string, listener: Listener) => Promise<void>,
  answer: Answering = () => inverseAnswer(),
): Promise<void> {
  const app = appWith(answer);
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 }, { headersMs: 1000 });
  try {
    await run(listener.url, listener);
  } finally {
    await listener.close();
    app.codec.close();
  }
}

/** Sends bytes as they are, and reads until the server ends the connection. */
async function sendRaw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode(text));
  return await new Response(connection.readable).text();
}

const UNREADABLE: Record<string, [text: string, status: RegExp]> = {
  "no HTTP": ["GARBAGE\r\n\r\n", /^HTTP\/1\.1 400 /],
  "no Host": ["GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
  "a Host that is none": [
    "GET /health/live HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
    /^HTTP\/1\.1 400 /,
  ],
  "headers of 20 kB": [
    `GET /health/live HTTP/1.1\r\nHost: curvd\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
    /^HTTP\/1\.1 431 /,
  ],
  "headers that never end": ["GET /health/live HTTP/1.1\r\nHost: cu", /^HTTP\/1\.1 408 /],
};

for (const [what, [text, status]] of Object.entries(UNREADABLE)) {
  Deno.test(`a request with ${what} is refused with a problem, and the connection ended`, () =>
    listening(async (url) => {
      const answer = await sendRaw(url, text);
      match(answer, status);
      match(answer, /content-type: application\/problem\+json/i);
      match(answer, /"type":"about:blank"/);
    }));
}

Deno.test("what is no request is told why", () =>
  listening(async (url) => {
    match(await sendRaw(url, UNREADABLE["headers of 20 kB"][0]), /Headers may have 16384 bytes/);
    match(await sendRaw(url, UNREADABLE["no Host"][0]), /Host header/);
    match(await sendRaw(url, UNREADABLE["headers that never end"][0]), /its headers may take 1 s/);
    const head = "POST /v1/inverses HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n";
    const answer = await sendRaw(url, `${head}Expect: 200-ok\r\n\r\n`);
    match(answer, /^HTTP\/1\.1 417 /);
    match(answer, /Expect takes 100-continue alone/);
  }));

Deno.test("a client that expects to be told, and to be the last, is", () =>
  listening(async (url) => {
    const { hostname, port } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const body = INVERSES;
    const head = headOf("application/json", body.length).replace(
      "Expect",
      "Connection: close\r\nExpect",
    );
    await connection.write(new TextEncoder().encode(head));
    const reader = connection.readable.getReader();
    match(new TextDecoder().decode((await reader.read()).value), /^HTTP\/1\.1 100 /);
    await connection.write(new TextEncoder().encode(body));
    let answer = "";
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      answer += new TextDecoder().decode(piece.value);
    }
    match(answer, /^HTTP\/1\.1 200 /);
  }));

const headOf = (type: string, length: number) =>
  `POST /v1/inverses HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${type}\r\n` +
  `Content-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;

Deno.test("a client that expects to be told sends its body once it is, and keeps its connection", () =>
  listening(async (url) => {
    const { hostname, port } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const heard = async (until: RegExp) => {
      let text = "";
      for (const chunk = new Uint8Array(4096); !until.test(text);) {
        const length = await connection.read(chunk);
        if (length === null) throw new Error(`The connection ended after ${text}`);
        text += new TextDecoder().decode(chunk.subarray(0, length));
      }
      return text;
    };
    for (let time = 0; time < 2; time++) {
      await connection.write(
        new TextEncoder().encode(headOf("application/json", INVERSES.length)),
      );
      equal(await heard(/\r\n\r\n$/), "HTTP/1.1 100 Continue\r\n\r\n");
      await connection.write(new TextEncoder().encode(INVERSES));
      match(await heard(/A_inv.*\}$/s), /^HTTP\/1\.1 200 OK\r\n/);
    }
    connection.close();
  }));

Deno.test("what is refused by its head is never told to go on, and its connection ended", () =>
  listening(async (url) => {
    for (
      const [type, length, status] of [["text/plain", 9, 415], [
        "application/json",
        2 ** 40,
        413,
      ]] as const
    ) {
      const answer = await sendRaw(url, headOf(type, length));
      match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      match(answer, /\r\nconnection: close\r\n/i);
      equal(answer.includes("100 Continue"), false);
    }
  }));

Deno.test("a client that leaves while its work runs aborts the work", async () => {
  const begun = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  await listening(
    async (url) => {
      const leaving = new AbortController();
      const asked = fetch(`${url}/v1/inverses`, {
        method: "POST",
        body: INVERSES,
        headers: JSON_HEADERS,
        signal: leaving.signal,
      }).catch(() => "left");
      await begun.promise;
      leaving.abort();
      equal(await asked, "left");
      await aborted.promise;
      const live = await fetch(`${url}/health/live`);
      equal(await live.text(), '{"status":"live"}');
    },
    (_call, _request, signal) =>
      new Promise((_, reject) => {
        signal!.addEventListener("abort", () => {
          aborted.resolve();
          reject(new CurvdError("aborted", "The client left"));
        });
        begun.resolve();
      }),
  );
});

Deno.test("a client that leaves in the middle of its upload leaves a server that answers", () =>
  listening(async (url) => {
    const { hostname, port } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    await connection.write(new TextEncoder().encode(
      "POST /v1/inverses HTTP/1.1\r\nHost: curvd\r\nContent-Type: application/json\r\n" +
        "Content-Length: 1000\r\n\r\n{",
    ));
    connection.close();
    const response = await fetch(`${url}/v1/inverses`, {
      method: "POST",
      body: INVERSES,
      headers: JSON_HEADERS,
    });
    equal(response.status, 200);
    await response.body?.cancel();
  }));

Deno.test("an answer of 64 MiB arrives whole, and health answers meanwhile", () =>
  listening(
    async (url) => {
      const response = await fetch(`${url}/v1/inverses`, {
        method: "POST",
        body: INVERSES,
        headers: { ...JSON_HEADERS, accept: "application/vnd.safetensors" },
      });
      const live = await fetch(`${url}/health/live`);
      equal(await live.text(), '{"status":"live"}');
      const { tensors } = decodeSafetensors(await response.bytes());
      ok(tensors.get("fc1.A_inv")!.data.every((value) => value === 0.25));
    },
    () => inverseAnswer(4096, 0.25),
  ));

Deno.test("close() takes no more connections but finishes the request in flight", async () => {
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  await listening(
    async (url, listener) => {
      const asked = fetch(`${url}/v1/inverses`, {
        method: "POST",
        body: INVERSES,
        headers: JSON_HEADERS,
      });
      await begun.promise;
      const closed = listener.close();
      const refused = await fetch(`${url}/health/live`).then((r) => r.text(), () => "refused");
      equal(refused, "refused");
      finish.resolve();
      const response = await asked;
      equal(response.status, 200);
      await response.body?.cancel();
      await closed;
    },
    async () => {
      begun.resolve();
      await finish.promise;
      return inverseAnswer();
    },
  );
});

Deno.test("close() does not wait for a connection on which nothing was said, but for a request begun", () =>
  listening(async (url, listener) => {
    const { hostname, port } = new URL(url);
    const connect = () => Deno.connect({ hostname, port: Number(port) });
    const [silent, speaking] = [await connect(), await connect()];
    const send = (text: string) => speaking.write(new TextEncoder().encode(text));
    await send(
      "POST /v1/inverses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
    );
    await (await fetch(`${url}/health/live`)).body?.cancel(); // both were accepted before
    const closed = listener.close(5000);
    equal(await silent.read(new Uint8Array(1)), null);
    await send(`Content-Length: ${INVERSES.length}\r\n\r\n${INVERSES}`);
    match(await new Response(speaking.readable).text(), /^HTTP\/1\.1 200 /);
    await closed;
    silent.close();
  }));

Deno.test("close() cuts what is left when its time is over, and the work knows", async () => {
  let reason: unknown;
  const hang: Answering = (_call, _request, signal) =>
    new Promise((_, reject) =>
      signal!.addEventListener("abort", () => reject(reason = signal!.reason))
    );
  await listening(async (url, listener) => {
    const cut = fetch(`${url}/v1/inverses`, {
      method: "POST",
      headers: JSON_HEADERS,
      body: INVERSES,
    }).then(() => "answered", () => "cut");
    await new Promise((resolve) => setTimeout(resolve, 50));
    await listener.close(50);
    equal(await cut, "cut");
    equal((reason as CurvdError).code, "aborted");
  }, hang);
});

Deno.test("over HTTP an answer has the same security headers as without a listener", () =>
  listening(async (url) => {
    const app = appWith();
    for (const path of ["/health/live", "/nothing", "/docs"]) {
      const [bare, sent] = [await app.request(path), await fetch(`${url}${path}`)];
      const ofBrowsers = [...bare.headers].filter(([name]) => /^(content-sec|cross|x-)/.test(name));
      ok(ofBrowsers.length >= 8);
      for (const [name, value] of ofBrowsers) {
        if (name !== "x-request-id") equal(sent.headers.get(name), value);
      }
      await Promise.all([bare.body?.cancel(), sent.body?.cancel()]);
    }
    app.codec.close();
  }));
