/**
 * `Expect: 100-continue`: a client that waits to be told sends its body when somebody reads it.
 *
 * What is refused by its head alone (no place in the queue, no key, too large a body) then costs no transport. Left to itself
 * `node:http` tells every client to go on at once. RFC 9110, section 10.1.1.
 *
 * @module
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { refusal } from "./protocol_errors.ts";

/** Answers requests that wait for a word as others, and says it when their body is read. */
export function heedExpectations(server: Server, answer: RequestListener): void {
  server.on("checkExpectation", (_: IncomingMessage, outgoing: ServerResponse) => {
    outgoing.writeHead(417, { "content-type": "application/problem+json", connection: "close" });
    outgoing.end(refusal(417, "Expect takes 100-continue alone"));
  });
  server.on("checkContinue", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    // without its body the next request would not be told from it
    const { shouldKeepAlive } = outgoing;
    outgoing.shouldKeepAlive = false;
    const read = incoming._read;
    incoming._read = function (size) {
      incoming._read = read;
      if (!outgoing.headersSent) {
        outgoing.writeContinue();
        outgoing.shouldKeepAlive = shouldKeepAlive;
      }
      read.call(incoming, size);
    };
    answer(incoming, outgoing);
  });
}
