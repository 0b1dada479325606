/** A server that sends back what it gets, once it has it in one array: what copying a body costs on this machine. */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const server = createServer((request, response) => {
  const body = new Uint8Array(Number(request.headers["content-length"]));
  let filled = 0;
  request.on("data", (part: Uint8Array) => {
    body.set(part, filled);
    filled += part.length;
  });
  request.on("end", () => response.end(body));
});
server.listen(0, "127.0.0.1", () => {
  self.postMessage(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
