/** Images and the order they come in. */
import {
  deepStrictEqual as deepEqual,
  notDeepStrictEqual as notDeepEqual,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { curves, readIdx, shuffled } from "@/datasets/mod.ts";
import { splineAt } from "@/datasets/curves.ts";
import { testDigits, trainingDigits } from "@/mnist/mod.ts";

Deno.test("MNIST is whole: 60 000 and 10 000 digits, in the order LeCun gave them", async () => {
  const training = await trainingDigits(), test = await testDigits();
  deepEqual([training.count, test.count], [60_000, 10_000]);
  deepEqual([...training.labels.subarray(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
  deepEqual([...test.labels.subarray(0, 5)], [7, 2, 1, 0, 4]);
  let sum = 0;
  for (const pixel of training.pixels) sum += pixel;
  const mean = sum / training.pixels.length / 255;
  ok(Math.abs(mean - 0.1307) < 5e-5, `mean pixel ${mean}, known as 0.1307`);
});

Deno.test("readIdx() refuses another magic number, another rank, a file cut off", () => {
  const file = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 30, 40);
  deepEqual([...readIdx(file, 1)], [30, 40]);
  throws(() => readIdx(file, 3), /IDX bytes of rank 3/);
  throws(() => readIdx(Uint8Array.of(0, 0, 9, 1, 0, 0, 0, 0), 1), /IDX bytes of rank 1/);
  throws(() => readIdx(file.subarray(0, 9), 1), /Expected 2 values .* got 1/);
});

Deno.test("shuffled() is a permutation, the same for the same seed alone", () => {
  const order = shuffled(1000, 7);
  deepEqual([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, place) => place));
  deepEqual(order, shuffled(1000, 7));
  notDeepEqual(order, shuffled(1000, 8));
  const atHome = order.filter((place, at) => place === at).length;
  ok(atHome < 8, `${atHome} of 1000 stayed, 1 is expected`);
});

Deno.test("curves() are the same for the same seed alone, and more of them begin alike", () => {
  const few = curves(3, 5);
  deepEqual(few.pixels, curves(5, 5).pixels.subarray(0, 3 * 784));
  notDeepEqual(few.pixels, curves(3, 6).pixels);
});

Deno.test("splineAt() meets its points, has one slope at the middle one and no bend at the ends", () => {
  const at = (t: number) => splineAt(2, 7, -1, t);
  deepEqual([at(0), at(0.5), at(1)], [2, 7, -1]);
  const h = 1e-4;
  const slope = (t: number) => (at(t + h) - at(t - h)) / (2 * h);
  ok(Math.abs(slope(0.5 - 2 * h) - slope(0.5 + 2 * h)) < 0.05);
  const bend = (t: number) => (at(t + h) - 2 * at(t) + at(t - h)) / h ** 2;
  ok(Math.abs(bend(h)) < 0.1 && Math.abs(bend(1 - h)) < 0.1);
  ok(Math.abs(bend(0.5 - 2 * h) - bend(0.5 + 2 * h)) < 0.1 && Math.abs(bend(0.4)) > 10);
});

Deno.test("a curve's image is one stroke: bright along it, dark elsewhere", () => {
  const { pixels } = curves(200, 1);
  for (let image = 0; image < 200; image++) {
    const own = pixels.subarray(image * 784, (image + 1) * 784);
    const bright = [...own.keys()].filter((at) => own[at] > 127);
    ok(bright.length >= 3 && bright.length < 784 / 4, `image ${image} has ${bright.length}`);
    ok(Math.max(...own) >= 200);
  }
});

Deno.test("a stroke hangs together, unless the curve leaves the frame", () => {
  const { pixels } = curves(200, 2);
  let whole = 0;
  for (let image = 0; image < 200; image++) {
    const lit = new Set<number>();
    for (let at = 0; at < 784; at++) if (pixels[image * 784 + at] > 63) lit.add(at);
    if (pieces(lit) === 1) whole++;
  }
  ok(whole > 170, `${whole} of 200 are in one piece`); // the others leave the frame and come back
});

/** Pieces that hang together by sides or corners. */
function pieces(lit: Set<number>): number {
  const left = new Set(lit);
  let count = 0;
  for (const start of lit) {
    if (!left.delete(start)) continue;
    count++;
    const open = [start];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const row = Math.floor(at / 28), column = at % 28;
      for (const down of [-1, 0, 1]) {
        for (const right of [-1, 0, 1]) {
          const [r, c] = [row + down, column + right];
          if (r < 0 || r > 27 || c < 0 || c > 27) continue;
          if (left.delete(r * 28 + c)) open.push(r * 28 + c);
        }
      }
    }
  }
  return count;
}

Deno.test("pieces() counts what hangs together", () => {
  equal(pieces(new Set([0, 29, 58, 27])), 2);
});
