/**
 * What clients, networks and drivers do to a server, one fault a function.
 *
 * Each throws where the server's answer to the fault is not what it should be.
 *
 * @module
 */
import { type Body, mutated, validBodies } from "../../tests/reliability/mutations.ts";
import { factor } from "./checked_call.ts";
import { json, JSON_HEADERS } from "./request.ts";
import type { ServerProcess } from "./server_process.ts";
import type { Tally } from "./tally.ts";

export interface Scene {
  readonly server: ServerProcess;
  readonly tally: Tally;
  readonly random: () => number;
}

type Fault = (scene: Scene) => Promise<void>;

const BODIES = [...validBodies("json"), ...validBodies("safetensors")];

/** An inverse of 192 × 192: some 300 kB of JSON either way. */
const LARGE = json({ layers: { fc1: { A: { shape: [192, 192], data: [...factor(192, 5)] } } } });

export const FAULTS: Readonly<Record<string, Fault>> = {
  "compute Worker crashes": ({ server }) => server.inject("crash"),
  "device is lost": ({ server }) => server.inject("lose"),

  async "client dies in mid-upload"({ server, random }) {
    const connection = await connect(server);
    const { length } = LARGE;
    await write(connection, `${head("/v1/inverses", length)}`);
    await connection.write(LARGE.subarray(0, Math.floor(length * random())));
    connection.close();
  },

  async "client dies in mid-download"({ server, random }) {
    const connection = await connect(server);
    await write(connection, head("/v1/inverses", LARGE.length));
    await writeAll(connection, LARGE);
    const wanted = 1 + Math.floor(100_000 * random());
    const buffer = new Uint8Array(4096);
    for (let got = 0; got < wanted;) {
      const read = await connection.read(buffer);
      if (read === null) break;
      got += read;
    }
    connection.close();
  },

  async "client gives up while it waits"({ server, random }) {
    const signal = AbortSignal.timeout(Math.ceil(20 * random()));
    const init = { method: "POST", body: LARGE, headers: JSON_HEADERS, signal };
    await fetch(`${server.url}/v1/eigenbases`, init).then(
      (response) => response.body?.cancel(),
      (error) => {
        if (error.name !== "TimeoutError") throw error;
      },
    );
  },

  async "body is wrong"({ server, tally, random }) {
    const body = mutated(BODIES, random);
    const type = random() < 0.5 ? "application/json" : "application/vnd.safetensors";
    const path = ["/v1/inverses", "/v1/updates", "/v1/factors"][Math.floor(3 * random())];
    const { status, problem } = await refusalOf(server, path, body, { "content-type": type });
    tally.answered("POST", path, status);
    if (status >= 500 && status !== 503) throw new Error(`${path} answered ${status}: ${problem}`);
  },

  async "declared length is 10 GB"({ server }) {
    const answer = await exchange(server, head("/v1/inverses", 10_000_000_000));
    expect(answer, /^HTTP\/1\.1 413 /);
  },

  async "request is no HTTP"({ server, random }) {
    const noise = Uint8Array.from({ length: 64 }, () => Math.floor(256 * random()));
    const answer = await exchange(server, `${new TextDecoder("latin1").decode(noise)}\r\n\r\n`);
    expect(answer, /^HTTP\/1\.1 400 |^$/);
  },

  async "headers are 100 kB"({ server }) {
    const long = `GET /health/live HTTP/1.1\r\nHost: ${hostOf(server)}\r\nX: ${
      "x".repeat(1e5)
    }\r\n\r\n`;
    expect(await exchange(server, long), /^HTTP\/1\.1 431 |^$/);
  },

  async "fifty connections say nothing"({ server }) {
    const silent = await Promise.all(Array.from({ length: 50 }, () => connect(server)));
    await write(silent[0], "POST /v1/inverses HT"); // and one stops in the middle of a word
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (const connection of silent) connection.close();
  },
};

/** Which faults send requests, that no tally counts, to a route. */
export const FAULTS_BY_ROUTE: Readonly<Record<string, readonly string[]>> = {
  "POST /v1/inverses": [
    "client dies in mid-upload",
    "client dies in mid-download",
    "declared length is 10 GB",
    "fifty connections say nothing",
  ],
  "POST /v1/eigenbases": ["client gives up while it waits"],
};

function hostOf({ url }: ServerProcess): string {
  return new URL(url).host;
}

function connect({ url }: ServerProcess): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(url);
  return Deno.connect({ hostname, port: Number(port) });
}

function head(path: string, length: number): string {
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
}

function write(connection: Deno.TcpConn, text: string): Promise<void> {
  return writeAll(connection, new TextEncoder().encode(text));
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Sends and reads to the end; empty where the connection is cut without a word. */
async function exchange(server: ServerProcess, text: string): Promise<string> {
  const connection = await connect(server);
  try {
    await write(connection, text);
    return await new Response(connection.readable).text();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe) {
      return "";
    }
    throw error;
  }
}

async function refusalOf(
  { url }: ServerProcess,
  path: string,
  body: Body,
  headers: Record<string, string>,
) {
  const response = await fetch(`${url}${path}`, { method: "POST", body, headers });
  return { status: response.status, problem: await response.text() };
}

function expect(answer: string, pattern: RegExp): void {
  if (!pattern.test(answer)) throw new Error(`answered ${answer.slice(0, 200)}, not ${pattern}`);
}
