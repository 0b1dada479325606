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
import { log } from "@/log.ts";
import { type ConnectionLimits, type Connections, limitConnections } from "./connections.ts";
import { heedExpectations } from "./expectation.ts";
import { answerUnreadable, clientErrors } from "./protocol_errors.ts";

/** Times in milliseconds, sizes in bytes. */
export interface ListenerLimits extends ConnectionLimits {
  /** For a request's headers, from the first byte, or from the connection where none comes. */
  readonly headersMs: number;
  /** For a whole request. */
  readonly requestMs: number;
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number;
  /** How often the times are looked at. */
  readonly checkEveryMs: number;
  readonly headerBytes: number;
}

const LIMITS: ListenerLimits = {
  headersMs: 10_000,
  requestMs: 300_000, // 256 MiB at 1 MiB a second, and a margin
  keepAliveMs: 75_000, // longer than the pauses of a training loop
  stallMs: 60_000,
  checkEveryMs: 1_000,
  headerBytes: 16_384,
  connections: 1024,
  connectionsOfOne: 512,
};

export interface Listener {
  readonly url: string;
  /**
   * Takes no more connections; resolves when the last request is answered, or given up.
   * @param graceMs then the connections that are left are cut, and what only they waited for ends.
   */
  close(graceMs?: number): Promise<void>;
}

type Fetch = (request: Request, env: object) => Response | Promise<Response>;

/**
 * Listens.
 *
 * @param port 0 for any free one.
 * @param limits those that differ from the usual.
 * @throws Error where the address cannot be had; its message names it.
 */
export async function listen(
  fetch: Fetch,
  { host, port }: { host: string; port: number },
  limits: Partial<ListenerLimits> = {},
): Promise<Listener> {
  const bounds = { ...LIMITS, ...limits };
  const answer = getRequestListener(fetch, { errorHandler: answerUnreadable });
  const server = createServer({
    headersTimeout: bounds.headersMs,
    requestTimeout: bounds.requestMs,
    keepAliveTimeout: bounds.keepAliveMs,
    connectionsCheckingInterval: bounds.checkEveryMs,
    maxHeaderSize: bounds.headerBytes,
    requireHostHeader: false, // the listener refuses it too, with a problem
  }, answer);
  const connections = limitConnections(server, bounds);
  server.on("clientError", clientErrors(bounds));
  heedExpectations(server, answer);

  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(port, host, listening.resolve);
  await listening.promise;

  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http://${name}:${bound}`,
    close: (graceMs) => close(server, connections, graceMs),
  };
}

function close(server: Server, connections: Connections, graceMs?: number): Promise<void> {
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  server.closeIdleConnections();
  // A connection that becomes idle when its request is answered would wait for its keep-alive. One
  // that was silent until the first sweep has no request on its way.
  const sweep = setInterval(() => {
    server.closeIdleConnections();
    connections.closeSilent();
  }, 100);
  const cut = graceMs === undefined ? undefined : setTimeout(() => {
    log.warning("cuts the connections that are left", { grace_ms: graceMs });
    server.closeAllConnections();
  }, graceMs);
  return closed.promise.finally(() => {
    clearInterval(sweep);
    clearTimeout(cut);
  });
}
