/**
 * Load on a server: clients that ask, wait for the answer and ask again, or that ask at a rate whatever comes back.
 *
 * On `node:http`, with connections kept: `fetch` of the generator would cost more than small requests cost the server.
 *
 * @module
 */
import { Agent, request as httpRequest } from "node:http";

export interface Shot {
  readonly url: string;
  readonly body?: Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the body is sent only when the server asks for it (`Expect: 100-continue`). */
  readonly waits?: boolean;
}

/** Longer than any answer takes: what is not there then was lost. */
const LOST_MS = 30_000;

/** One answer. */
export interface Answer {
  /** 0 where none came. */
  readonly status: number;
  readonly milliseconds: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly bytes: number;
}

export class Client {
  readonly #agent: Agent;

  constructor(connections: number) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  send({ url, body, headers = {}, waits = false }: Shot): Promise<Answer> {
    const begun = performance.now();
    return new Promise((answered, reject) => {
      const lost = setTimeout(
        () => answered({ status: 0, headers: {}, milliseconds: LOST_MS, bytes: 0 }),
        LOST_MS,
      );
      const resolve = (answer: Answer) => {
        clearTimeout(lost);
        answered(answer);
      };
      const request = httpRequest(url, {
        agent: this.#agent,
        method: body ? "POST" : "GET",
        headers: {
          ...headers,
          ...(body ? { "content-length": String(body.length) } : {}),
          ...(waits ? { expect: "100-continue" } : {}),
        },
      }, (response) => {
        let bytes = 0;
        response.on("data", (chunk: Uint8Array) => bytes += chunk.length);
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            milliseconds: performance.now() - begun,
            bytes,
          }));
      });
      request.on("error", reject);
      if (!waits) return void request.end(body);
      request.on("continue", () => request.end(body));
      request.flushHeaders();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** So many clients, each with one request at a time, for so long. @returns the answers, as they came. */
export async function closedLoop(
  shot: Shot,
  { clients, seconds }: { clients: number; seconds: number },
): Promise<Answer[]> {
  const client = new Client(clients);
  const answers: Answer[] = [];
  const until = performance.now() + 1000 * seconds;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() < until) answers.push(await client.send(shot));
  }));
  client.close();
  return answers;
}

/** The value that a share of the answers do not exceed, ms. */
export function percentile(milliseconds: readonly number[], share: number): number {
  const sorted = milliseconds.toSorted((a, b) => a - b);
  return Number((sorted[Math.floor(share * (sorted.length - 1))] ?? NaN).toFixed(2));
}
