import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { setImmediate } from "node:timers";
import { Admission, type Claim } from "../../src/admission/mod.ts";

const MIB = 2 ** 20;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const claim = (more: Partial<Claim> = {}): Claim => ({
  who: "",
  route: "POST /v1/inverses",
  bytes: 0,
  reservedBytes: 0,
  priority: "normal",
  ...more,
});
const QUEUE_FULL = { code: "queue-full" };

Deno.test("there are as many places as were set, and one that is left is free again", () => {
  const admission = new Admission({ requests: 2, bytes: Infinity });
  const first = admission.enter(claim());
  admission.enter(claim());
  throws(() => admission.enter(claim()), { ...QUEUE_FULL, facts: { limit: 2, retryAfter: 1 } });
  first.leave();
  first.leave(); // twice is once
  admission.enter(claim());
  throws(() => admission.enter(claim()), QUEUE_FULL);
});

Deno.test("memory is reserved before a byte has come, and given back", () => {
  const admission = new Admission({ requests: 9, bytes: 10 * MIB });
  const large = admission.enter(claim({ reservedBytes: 8 * MIB }));
  throws(() => admission.enter(claim({ reservedBytes: 3 * MIB })), QUEUE_FULL);
  admission.enter(claim({ reservedBytes: 2 * MIB })).leave();
  large.leave();
  equal(admission.facts().reservedBytes, 0);
  const larger = admission.enter(claim({ reservedBytes: 99 * MIB })); // alone, or never
  throws(() => admission.enter(claim({ reservedBytes: 1 })), QUEUE_FULL);
  larger.leave();
});

Deno.test("a key never holds all places: another always finds one", () => {
  const admission = new Admission({ requests: 64, bytes: Infinity });
  let taken = 0;
  throws(() => {
    for (;; taken++) admission.enter(claim({ who: "greedy" }));
  }, QUEUE_FULL);
  equal(taken, 48); // three times what it leaves
  for (let i = 0; i < 4; i++) admission.enter(claim({ who: "modest" }));
});

Deno.test("the client's leaving frees its place in the line, and the work behind it begins", async () => {
  const admission = new Admission({ requests: 9, bytes: Infinity });
  const client = new AbortController();
  const done = Promise.withResolvers<void>();
  const large = { bytes: 4 * MIB };
  const working = admission.enter(claim(large)).work(() => done.promise);
  const leaving = admission.enter(claim({ ...large, client: client.signal }));
  let begun = 0;
  const left = leaving.work(() => Promise.resolve(begun++));
  const behind = admission.enter(claim(large)).work(() => Promise.resolve("answered"));
  deepEqual({ ...admission.facts(), reservedBytes: 0 }, {
    inside: 3,
    waiting: 2,
    inWork: 1,
    reservedBytes: 0,
  });
  client.abort();
  await rejects(left, { code: "aborted" });
  equal(admission.facts().waiting, 1);
  done.resolve();
  await working;
  equal(await behind, "answered");
  equal(begun, 0);
});

Deno.test("a deadline that passes ends the waiting, and the signal ends the work", async () => {
  const admission = new Admission({ requests: 9, bytes: Infinity });
  const done = Promise.withResolvers<void>();
  const large = { bytes: 4 * MIB };
  const working = admission.enter(claim(large)).work(() => done.promise);
  const late = admission.enter(claim({ ...large, deadlineMs: 10 }));
  await rejects(late.work(() => Promise.resolve()), { code: "deadline-exceeded" });
  done.resolve();
  await working;
  const slow = admission.enter(claim({ deadlineMs: 10 }));
  const reason = await slow.work(() =>
    new Promise((resolve) =>
      slow.signal.addEventListener("abort", () => resolve(slow.signal.reason.code))
    )
  );
  equal(reason, "deadline-exceeded");
  for (const place of [late, slow]) place.leave();
});

Deno.test("who cannot be answered within its deadline is refused at once, with the time to come back", async () => {
  const admission = new Admission({ requests: 99, bytes: Infinity });
  const claimed = () => claim({ bytes: MIB });
  const learn = admission.enter(claimed());
  await learn.work(() => pause(60));
  learn.leave();
  const places = Array.from({ length: 40 }, () => admission.enter(claimed())); // 40 times 60 ms
  throws(() => admission.enter({ ...claimed(), deadlineMs: 1000 }), (error: unknown) => {
    const { code, facts } = error as { code: string; facts: { retryAfter: number } };
    equal(code, "queue-full");
    ok(facts.retryAfter >= 2 && facts.retryAfter < 8, `${facts.retryAfter}`);
    return true;
  });
  admission.enter({ ...claimed(), deadlineMs: 60_000 }).leave();
  for (const place of places) place.leave();
  admission.enter({ ...claimed(), deadlineMs: 1000 }).leave();
});

Deno.test("small requests are in work together, a large one by itself", async () => {
  const admission = new Admission({ requests: 999, bytes: Infinity });
  let running = 0, most = 0;
  const work = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  const all = (count: number, bytes: number) =>
    Promise.all(
      Array.from({ length: count }, () => admission.enter(claim({ bytes })).work(work)),
    );
  await all(1, 1000); // of a kind that nobody knows
  await all(100, 1000);
  ok(most > 4, `${most}`);
  most = 0;
  await all(5, 5 * MIB);
  equal(most, 1);
});

Deno.test("of what takes long each core has one: nobody behind waits for more", async () => {
  const admission = new Admission({ requests: 99, bytes: Infinity, cores: 3 });
  let running = 0, most = 0;
  const work = async () => {
    most = Math.max(most, ++running);
    await pause(25);
    running--;
  };
  await Promise.all(Array.from({ length: 6 }, () => admission.enter(claim()).work(work)));
  equal(most, 3);
});

Deno.test("work that would end beyond its deadline is not begun, and who waits behind it is", async () => {
  const admission = new Admission({ requests: 99, bytes: Infinity, cores: 2 });
  const large = (more: Partial<Claim> = {}) => claim({ bytes: 4 * MIB, ...more });
  const learn = admission.enter(large());
  await learn.work(() => pause(60));
  learn.leave();
  const done = Promise.withResolvers<void>();
  const long = admission.enter(claim({ route: "POST /v1/plan" }));
  const [first, second, third] = [{}, { deadlineMs: 280 }, {}].map((more) =>
    admission.enter(large(more))
  );
  const longWork = long.work(() => done.promise);
  await Promise.all([
    first.work(() => pause(220)), // longer than was learned: the second has less left than it takes
    rejects(second.work(() => Promise.reject(new Error("was begun"))), {
      code: "deadline-exceeded",
      message: /would not have been there/,
    }),
    third.work(() => pause(1)),
  ]);
  done.resolve();
  await longWork;
  for (const place of [long, first, second, third]) place.leave();
  equal(admission.facts().inside, 0);
});

Deno.test("where nothing is in work the next is begun, whatever was learned", async () => {
  const admission = new Admission({ requests: 99, bytes: Infinity });
  const learn = admission.enter(claim());
  await learn.work(() => pause(60));
  learn.leave();
  const place = admission.enter(claim({ deadlineMs: 40 }));
  equal(await place.work(() => Promise.resolve("done")), "done");
  place.leave();
});

Deno.test("work given up at its deadline teaches that it takes at least as long", async () => {
  const admission = new Admission({ requests: 99, bytes: Infinity });
  const late = admission.enter(claim({ deadlineMs: 50 }));
  const aborted = new Promise<void>((resolve) =>
    late.signal.addEventListener("abort", () => resolve())
  );
  await late.work(() => aborted);
  late.leave();
  const ahead = admission.enter(claim());
  throws(() => admission.enter(claim({ deadlineMs: 50 })), QUEUE_FULL);
  ahead.leave();
});

Deno.test("answers that came late make it promise less", async () => {
  const admission = new Admission({ requests: 99, bytes: Infinity });
  const learn = admission.enter(claim());
  const begun = performance.now();
  await learn.work(() => pause(40));
  const deadlineMs = Math.round(4.8 * (performance.now() - begun)); // 2 in 4.8 are expected
  learn.leave();
  const isPromised = () => {
    const ahead = admission.enter(claim());
    try {
      admission.enter(claim({ deadlineMs })).leave();
      return true;
    } catch {
      return false;
    } finally {
      ahead.leave();
    }
  };
  equal(isPromised(), true);
  for (let i = 0; i < 12; i++) {
    const late = admission.enter(claim({ route: "POST /v1/updates", deadlineMs: 5 }));
    await late.work(() => pause(8));
    late.leave();
  }
  equal(isPromised(), false);
});
