import { ok, strictEqual as equal } from "node:assert/strict";
import { LATE, Margin } from "@/admission/margin.ts";
import { uniform } from "../support/matrices.ts";

/** The share of a deadline that a margin promises, to a thousandth. */
function shareOf(margin: Margin): number {
  let share = 0;
  while (share < 1 && margin.isEnough(share + 0.001, 1)) share += 0.001;
  return share;
}

Deno.test("a margin shrinks with answers that were late, grows with those in time, and stays within its bounds", () => {
  const margin = new Margin();
  const first = shareOf(margin);
  margin.learn(0.95, 1);
  const shrunk = shareOf(margin);
  ok(shrunk < first);
  for (let i = 0; i < 50; i++) margin.learn(0.1, 1);
  ok(shareOf(margin) > shrunk);
  for (let i = 0; i < 1000; i++) margin.learn(2, 1);
  const least = shareOf(margin);
  ok(least > 0.2 && least < 0.4, `${least}`);
  for (let i = 0; i < 10_000; i++) margin.learn(0, 1);
  const most = shareOf(margin);
  ok(most > 0.8 && most < 1, `${most}`);
});

Deno.test("a margin finds the share at which one answer in a hundred is late", () => {
  const random = uniform(5);
  const margin = new Margin();
  // what is planned for a share takes up to twice as long, seldom more
  let late = 0;
  const requests = 20_000;
  for (let i = 0; i < requests; i++) {
    const took = shareOf(margin) * (0.5 + random() + (random() < 0.05 ? random() : 0));
    if (took > LATE && i >= requests / 2) late++;
    margin.learn(took, 1);
  }
  const share = late / (requests / 2);
  ok(share > 0.005 && share < 0.02, `${share}`);
  equal(shareOf(margin) < LATE, true);
});
