/** Which names the server answers to. */
import { strictEqual as equal } from "node:assert/strict";
import { appWith } from "./fake_compute.ts";

async function statusOf(host: string, names?: string[], url = "http://127.0.0.1/health/live") {
  const app = appWith(undefined, { names });
  const response = await app.request(url, { headers: { host } });
  const problem = await response.json();
  if (response.status !== 200) equal(problem.type, "/problems/misdirected");
  app.codec.close();
  return response.status;
}

for (
  const host of [
    "127.0.0.1",
    "127.0.0.1:5322",
    "localhost:8000",
    "LOCALHOST",
    "[::1]:5322",
    "192.168.1.7:5322",
    "lab.example",
    "lab.example:80",
    "LAB.example",
  ]
) {
  Deno.test(`a request for ${host} is served where the server is called lab.example`, async () => {
    equal(await statusOf(host, ["Lab.example"]), 200);
  });
}

for (
  const host of [
    "evil.example",
    "evil.example:5322",
    "lab.example.evil.example",
    "xlab.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost.",
    "a b",
    "",
  ]
) {
  Deno.test(`a request for "${host}" is refused with 421`, async () => {
    equal(await statusOf(host, ["lab.example"]), 421);
  });
}

Deno.test("a target that names another host is refused, whatever Host says", async () => {
  equal(await statusOf("127.0.0.1", [], "http://evil.example/health/live"), 421);
});
