/**
 * The listener: Hono on `node:http`, which bounds what a slow or greedy client can hold.
 *
 * `Deno.serve` has no header timeout and no connection cap.
 *
 * @module
 */
import { getRequestListener } from "@hono/node-server";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { answerUnreadable, onClientError } from "./protocol_errors.ts";

const HEADERS_TIMEOUT_MS = 10_000;
/** Time for a whole request: 256 MiB at 1 MiB a second, and a margin. */
const REQUEST_TIMEOUT_MS = 300_000;
/** How long an idle connection is kept: longer than the pauses of a training loop. */
const KEEP_ALIVE_MS = 75_000;
const MAX_CONNECTIONS = 1024;
/** How often the times above are looked at. */
const CHECK_EVERY_MS = 1_000;

export interface Listener {
  readonly url: string;
  /** Takes no more connections; resolves when the last request is answered. */
  close(): Promise<void>;
}

type Fetch = (request: Request) => Response | Promise<Response>;

/**
 * Listens.
 *
 * @param port 0 for any free one.
 * @param headersTimeoutMs time for a request's headers, from the first byte.
 * @throws Error where the address cannot be had; its message names it.
 */
export async function listen(
  fetch: Fetch,
  { host, port }: { host: string; port: number },
  headersTimeoutMs = HEADERS_TIMEOUT_MS,
): Promise<Listener> {
  const answer = getRequestListener(fetch, { errorHandler: answerUnreadable });
  const server = createServer({
    headersTimeout: headersTimeoutMs,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_EVERY_MS,
    requireHostHeader: false, // the listener refuses it too, with a problem
  }, answer);
  server.maxConnections = MAX_CONNECTIONS;
  server.on("clientError", onClientError);

  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(port, host, listening.resolve);
  await listening.promise;

  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(":") ? `[${host}]` : host;
  return { url: `http://${name}:${bound}`, close: () => close(server) };
}

function close(server: Server): Promise<void> {
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  server.closeIdleConnections();
  // a connection that becomes idle when its request is answered would wait for its keep-alive
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  return closed.promise.finally(() => clearInterval(sweep));
}
