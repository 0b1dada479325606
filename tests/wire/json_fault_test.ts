/** Where text stops being JSON, and what is said of it. */
import { strictEqual as equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { decodeDocument } from "@/wire/mod.ts";
import { jsonFault } from "../../src/wire/json_fault.ts";

Deno.test("jsonFault() finds nothing in JSON, and its end in what is cut off", () =>
  fc.assert(fc.property(fc.json(), fc.nat(), (text, n) => {
    equal(jsonFault(text), text.length);
    equal(jsonFault(` ${text}\n`), text.length + 2);
    const wrapped = `{"a": [${text}]}`;
    const cut = wrapped.slice(0, 1 + n % (wrapped.length - 1));
    const at = jsonFault(cut);
    throws(() => JSON.parse(cut));
    // a number or a literal that is cut is told at its start
    equal(/^(|[-\d.eE+]+|t|tr|tru|f|fa|fal|fals|n|nu|nul|".*)$/s.test(cut.slice(at)), true, cut);
  })));

Deno.test("jsonFault() finds a character that cannot be", () => {
  for (
    const [text, at] of [
      ['{"a": NaN}', 6],
      ["[1, 2,, 3]", 6],
      ['{"a" 1}', 5],
      ["[1 2]", 3],
      ['{"a": 01}', 7],
      ["{'a': 1}", 1],
      ['{"a": 1} x', 9],
      ['["\\x"]', 1],
      ['["a\nb"]', 1],
      ['["λ\u{1f600}\x7f", 1 2]', 11],
      ["[1,]", 3],
      ["", 0],
    ] as const
  ) equal(jsonFault(text), at, text);
});

Deno.test("a body that is no JSON is refused with its byte", () => {
  const refusal = (text: string | Uint8Array<ArrayBuffer>) => {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    try {
      decodeDocument(bytes, "json");
    } catch (error) {
      return error as { message: string; facts: Record<string, unknown> };
    }
    throw new Error("taken");
  };
  const { message, facts } = refusal('{"λ": NaN}');
  equal(facts.offset, 7, "λ has two bytes");
  equal(facts.suggestion, "JSON has no NaN and no infinity");
  equal(message, 'Cannot parse the body as JSON: at byte 7 "NaN}" cannot be');
  equal(refusal('{"a": [1,').facts.offset, 9);
  equal(refusal(Uint8Array.of(0x7b, 0x22, 0xff, 0x22)).facts.offset, 2);
  for (const twice of ['{"a": 1, "b": 2, "a" : 3}', '{"layers": {"x": {"A": [1], "A": [2]}}}']) {
    equal(refusal(twice).facts.offset, twice.lastIndexOf('"a"') > 0 ? 17 : 28, twice);
  }
  decodeDocument(new TextEncoder().encode('{"a": {"a": ["a", "a"]}, "b": {"a": 1}}'), "json");
});
