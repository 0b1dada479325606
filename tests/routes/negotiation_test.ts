import { strictEqual as equal, throws } from "node:assert/strict";
import { encodingOfAnswer, encodingOfBody } from "../../routes/negotiation.ts";

Deno.test("encodingOfAnswer() follows the client's preference, and its own where all are equal", () => {
  const cases: [accept: string | null, answer: string][] = [
    [null, "json"],
    ["", "json"],
    ["*/*", "json"],
    ["application/*", "json"],
    ["application/vnd.safetensors", "safetensors"],
    ["application/octet-stream", "safetensors"],
    ["application/json, application/vnd.safetensors", "json"],
    ["application/json;q=0.5, application/vnd.safetensors", "safetensors"],
    ["application/vnd.safetensors;q=0.2, */*;q=0.1", "safetensors"],
    ["application/json;q=0, */*", "safetensors"],
    ["text/html, application/xhtml+xml, */*;q=0.8", "json"],
    ["Application/VND.safetensors ; Q=1", "safetensors"],
  ];
  for (const [accept, answer] of cases) {
    equal(encodingOfAnswer(accept, "json"), answer, `${accept}`);
  }
  equal(encodingOfAnswer("*/*", "safetensors"), "safetensors");
  throws(() => encodingOfAnswer("text/html", "json"), { code: "not-acceptable" });
});

Deno.test("encodingOfBody() looks past parameters and case", () => {
  const of = (type: string) => encodingOfBody(new Headers({ "content-type": type }));
  equal(of("application/json; charset=utf-8"), "json");
  equal(of("Application/JSON"), "json");
  equal(of("application/octet-stream"), "safetensors");
  throws(() => of("application/jsonp"), { code: "unsupported-media-type" });
});
