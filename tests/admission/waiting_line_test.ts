import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { type Priority, type Waiter, WaitingLine } from "../../src/admission/waiting_line.ts";

interface Named extends Waiter {
  readonly name: string;
}

const waiter = (name: string, more: Partial<Waiter> = {}): Named => ({
  name,
  who: "",
  priority: "normal",
  expectedMs: 1,
  bytes: 0,
  ...more,
});

/** Takes everybody, one after another, each done before the next. @returns their names. */
function emptied(line: WaitingLine<Named>, now?: number): string[] {
  const names: string[] = [];
  for (let next = line.first(now); next; next = line.first(now)) {
    line.take(next);
    names.push(next.name);
    line.done(next);
  }
  return names;
}

Deno.test("urgent requests go before normal ones, these before those in the background", () => {
  const line = new WaitingLine<Named>();
  for (const priority of ["background", "normal", "urgent", "normal"] as Priority[]) {
    line.join(waiter(priority, { priority }));
  }
  deepEqual(emptied(line), ["urgent", "normal", "normal", "background"]);
});

Deno.test("what has waited long goes before what is more urgent", () => {
  const line = new WaitingLine<Named>();
  line.join(waiter("old", { priority: "background" }), 0);
  line.join(waiter("new", { priority: "urgent" }), 3000);
  deepEqual(emptied(line, 3000), ["old", "new"]);
});

Deno.test("a caller who sends much waits for one who sends little, by the time it takes", () => {
  const line = new WaitingLine<Named>();
  for (let i = 0; i < 6; i++) line.join(waiter(`a${i}`, { who: "a", expectedMs: 1 }));
  for (let i = 0; i < 2; i++) line.join(waiter(`b${i}`, { who: "b", expectedMs: 3 }));
  deepEqual(emptied(line), ["a0", "b0", "a1", "a2", "a3", "b1", "a4", "a5"]);
});

Deno.test("who was idle has no claim on the past", () => {
  const line = new WaitingLine<Named>();
  for (let i = 0; i < 100; i++) line.join(waiter("a", { who: "a" }));
  emptied(line);
  for (let i = 0; i < 3; i++) line.join(waiter(`b${i}`, { who: "b" }));
  for (let i = 0; i < 3; i++) line.join(waiter(`a${i}`, { who: "a" }));
  deepEqual(emptied(line), ["b0", "b1", "a0", "b2", "a1", "a2"]); // b began at a's last turn, not at 0
});

Deno.test("a lane keeps its order, one at a time, whatever the priorities in it", () => {
  const line = new WaitingLine<Named>();
  line.join(waiter("refresh", { lane: "s", priority: "background" }));
  line.join(waiter("step", { lane: "s", priority: "urgent" }));
  line.join(waiter("other", { lane: "t", priority: "background" }));
  const first = line.first()!;
  equal(first.name, "refresh");
  line.take(first);
  const second = line.first()!;
  equal(second.name, "other");
  line.take(second);
  equal(line.first(), undefined);
  line.done(first);
  equal(line.first()!.name, "step");
});

Deno.test("everybody who joins is taken once, in any mix", () => {
  const anybody = fc.record({
    who: fc.constantFrom("", "a", "b"),
    priority: fc.constantFrom<Priority>("urgent", "normal", "background"),
    lane: fc.option(fc.constantFrom("s", "t"), { nil: undefined }),
    expectedMs: fc.nat(10),
  });
  fc.assert(fc.property(fc.array(anybody, { maxLength: 30 }), (all) => {
    const line = new WaitingLine<Named>();
    all.forEach((each, at) => line.join(waiter(String(at), each)));
    const names = emptied(line);
    deepEqual(names.toSorted(), all.map((_, at) => String(at)).toSorted());
    for (const lane of ["s", "t"]) { // in each lane as they came
      const ofLane = names.map(Number).filter((at) => all[at].lane === lane);
      deepEqual(ofLane, ofLane.toSorted((a, b) => a - b));
    }
  }));
});
