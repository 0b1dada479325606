/** A server that sends back what it gets: what copying a body costs on this machine. */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const server = createServer((request, response) => {
  const parts: Uint8Array[] = [];
  request.on("data", (part: Uint8Array) => parts.push(part));
  request.on("end", () => {
    for (const part of parts) response.write(part);
    response.end();
  });
});
server.listen(0, "127.0.0.1", () => {
  self.postMessage(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
