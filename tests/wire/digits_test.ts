import { ok, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { shortestDecimal } from "../../src/wire/digits.ts";

/** Any finite float32, by its bits. */
const float32 = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((bits) => {
  return new Float32Array(Uint32Array.of(bits).buffer)[0];
}).filter(Number.isFinite);

const significantDigits = (text: string) =>
  text.replace(/e.*/, "").replace(/[-.]/g, "").replace(/^0+/, "").replace(/0+$/, "").length;

Deno.test("shortestDecimal() prints digits that give the float32 back", () => {
  fc.assert(
    fc.property(float32, (value) => {
      equal(Math.fround(Number(String(shortestDecimal(value)))), value + 0);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("shortestDecimal() never prints more digits than the fewest that suffice", () => {
  fc.assert(
    fc.property(float32, (value) => {
      let fewest = 1;
      while (Math.fround(Number(value.toPrecision(fewest))) !== value) fewest++;
      const printed = significantDigits(String(shortestDecimal(value)));
      ok(printed <= fewest, `${value}: ${printed} digits, ${fewest} suffice`);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("shortestDecimal() writes 0.1 and 1/3 as a person would", () => {
  equal(String(shortestDecimal(Math.fround(0.1))), "0.1");
  equal(String(shortestDecimal(Math.fround(1 / 3))), "0.33333334");
  equal(String(shortestDecimal(3.4028234663852886e38)), "3.4028235e+38");
  equal(String(shortestDecimal(2 ** -149)), "1e-45");
});
