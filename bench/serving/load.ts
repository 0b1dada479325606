/**
 * Load on a server: clients that ask, wait for the answer and ask again, or that ask at a rate whatever comes back.
 *
 * @module
 */
import { Connection, type Exchange } from "./connection.ts";

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
export interface Answer extends Exchange {
  readonly milliseconds: number;
}

/** What came of a request that was not answered. */
const LOST = { status: 0, headers: {}, bytes: 0 };

/** Clients of one server, each with a connection that is kept. */
export class Client {
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();

  /** @returns its answer, of status 0 where none came or the server hung up. */
  async send(shot: Shot): Promise<Answer> {
    const begun = performance.now();
    const lost = Promise.withResolvers<typeof LOST>();
    const timer = setTimeout(() => lost.resolve(LOST), LOST_MS);
    const exchange = await Promise.race([this.#exchange(shot).catch(() => LOST), lost.promise]);
    clearTimeout(timer);
    return { ...exchange, milliseconds: performance.now() - begun };
  }

  async #exchange({ url, body, headers = {}, waits = false }: Shot): Promise<Exchange> {
    const to = new URL(url);
    const connection = this.#idle.pop() ?? await Connection.open(to);
    this.#all.add(connection);
    const lines = [
      `${body ? "POST" : "GET"} ${to.pathname} HTTP/1.1`,
      `host: ${to.host}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      ...(body ? [`content-length: ${body.length}`] : []),
      ...(waits ? ["expect: 100-continue"] : []),
    ];
    const head = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
    try {
      return await connection.exchange(head, body, waits);
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      if (connection.isOpen) this.#idle.push(connection);
      else this.#all.delete(connection);
    }
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }
}

/** So many clients, each with one request at a time, for so long. @returns the answers, as they came. */
export async function closedLoop(
  shot: Shot,
  { clients, seconds }: { clients: number; seconds: number },
): Promise<Answer[]> {
  const client = new Client();
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
