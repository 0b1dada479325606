/**
 * Requests that are no HTTP the server can read, refused before there is a route to ask.
 *
 * Their problems have the type `about:blank` (RFC 9457, 4.2.1): the status says what kind of fault it is.
 *
 * @module
 */
import type { Socket } from "node:net";
import { log } from "@/log.ts";

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
};

/** What is known of a request that is refused here. */
export interface ProtocolLimits {
  readonly headersMs: number;
  readonly headerBytes: number;
}

/** Notes a refusal in the log, as there is no request to have a line, and puts it into a problem document. */
export function refusal(status: number, detail: string): string {
  log.info("refused what is no request", { status, detail });
  return JSON.stringify({ type: "about:blank", title: REASONS[status], status, detail });
}

/** Answers a request whose target or Host makes no URL. */
export function answerUnreadable(): Response {
  const detail = "Its target and its Host header, of which it must have one, make no URL";
  return new Response(refusal(400, detail), {
    status: 400,
    headers: { "content-type": "application/problem+json", "connection": "close" },
  });
}

/** Answers on a bare socket, and ends it: the `clientError` event of `node:http`. */
export function clientErrors({ headersMs, headerBytes }: ProtocolLimits) {
  return function onClientError(error: Error & { code?: string }, socket: Socket): void {
    if (!socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    const [status, detail] = error.code === "HPE_HEADER_OVERFLOW"
      ? [431, `Headers may have ${headerBytes} bytes`]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? [408, `The request did not come in time: its headers may take ${headersMs / 1000} s`]
      : [400, `The request could not be read as HTTP: ${error.message}`];
    const body = refusal(status, detail);
    socket.end(
      `HTTP/1.1 ${status} ${REASONS[status]}\r\nConnection: close\r\n` +
        `Content-Type: application/problem+json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  };
}
