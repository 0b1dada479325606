/**
 * Requests that are no HTTP the server can read, refused before there is a route to ask.
 *
 * Their problems have the type `about:blank` (RFC 9457, 4.2.1): the status says all there is.
 *
 * @module
 */
import type { Socket } from "node:net";

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

/** `node:http` codes of the statuses that are not 400. */
const STATUSES: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

function bodyOf(status: number): string {
  return JSON.stringify({
    type: "about:blank",
    title: REASONS[status],
    status,
    detail: "The request could not be read as HTTP",
  });
}

/** Answers a request whose target or Host makes no URL. */
export function answerUnreadable(): Response {
  return new Response(bodyOf(400), {
    status: 400,
    headers: { "content-type": "application/problem+json", "connection": "close" },
  });
}

/** Answers on a bare socket, and ends it: the `clientError` event of `node:http`. */
export function onClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status = STATUSES[error.code ?? ""] ?? 400;
  const body = bodyOf(status);
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nConnection: close\r\n` +
      `Content-Type: application/problem+json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}
