/** Calls that a cpu engine has beside one another: what that asks of them, and what comes of it. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { CALL_HANDLERS, onlySolves } from "@/compute/calls/mod.ts";
import type { CpuEngine } from "@/engine/mod.ts";
import { startHelpers } from "@/linalg/mod.ts";
import { CALL_SCHEMAS, type Document, tensorOf, validate } from "@/wire/mod.ts";
import { packedLength, packSymmetric } from "@/wire/packed.ts";
import { libraryTest } from "../support/libraries.ts";
import { gramMatrix } from "../support/matrices.ts";

type Call = "inverses" | "eigenbases" | "inverse-roots";
type Request = Record<string, unknown>;

const factor = (d: number) => tensorOf([d, d], gramMatrix(d, d));
const packed = (d: number) => tensorOf([packedLength(d)], packSymmetric(gramMatrix(d, d), d));

/** What these calls may be asked for. */
function requests(): [Call, Request][] {
  const pair = () => ({ a: { A: factor(70), G: packed(64) }, b: { G: factor(130) } });
  const dampings = [1e-3, [1e-3, 1e-2]];
  const inverses = ["trace", "frobenius", "spectral", "off"].flatMap((pi) =>
    ["factored", "plain"].flatMap((damping_rule) =>
      dampings.map((damping): [Call, Request] => [
        "inverses",
        { layers: pair(), pi, damping_rule, damping },
      ])
    )
  );
  const frequencies = tensorOf([50], new Float32Array(50).fill(0.1));
  return [
    ...inverses,
    ["inverses", { layers: { e: { A_diagonal: frequencies, G: factor(64) } }, damping: 1e-3 }],
    ["eigenbases", { layers: pair() }],
    ["eigenbases", { layers: { a: { A: factor(65), Q_A: factor(65) } } }],
    ...dampings.map((damping): [Call, Request] => [
      "inverse-roots",
      { layers: { a: { M: factor(70) } }, power: 4, damping },
    ]),
  ];
}

async function answered(engine: CpuEngine, [call, request]: [Call, Request], beside: boolean) {
  const valid = validate(CALL_SCHEMAS[call].request, request as Document);
  const { timing: _, ...answer } = await CALL_HANDLERS[call](engine, valid as never, {
    isBeside: beside,
  });
  return answer;
}

libraryTest(
  "calls that go on beside one another make no product outside of the library's gate",
  async (engine) => {
    const blas = engine.blas!;
    const { during, elsewhere, gemm, syrk, lowerProduct } = blas;
    let inside = 0, products = 0, outside = 0;
    const within = <T>(work: () => Promise<T>) => {
      inside++;
      return work().finally(() => inside--);
    };
    const count = () => inside > 0 ? products++ : outside++;
    Object.assign(blas, {
      during: (side: number, work: Parameters<typeof during>[1]) =>
        during.call(blas, side, (lane) => within(() => work(lane))),
      elsewhere: (work: () => Promise<unknown>) => elsewhere.call(blas, () => within(work)),
      gemm: (...args: Parameters<typeof gemm>) => (count(), gemm.apply(blas, args)),
      syrk: (...args: Parameters<typeof syrk>) => (count(), syrk.apply(blas, args)),
      lowerProduct: (...args: Parameters<typeof lowerProduct>) => (
        count(), lowerProduct.apply(blas, args)
      ),
    });
    for (const request of requests()) {
      ok(onlySolves(request[0]));
      await answered(engine, request, true);
    }
    ok(products > 0, "judging is done by products");
    equal(outside, 0);
  },
  ["blas"],
);

libraryTest("they have the same bits beside others and by themselves", async (engine) => {
  const alone = [];
  for (const request of requests()) {
    alone.push(await answered(engine, request, false));
  }
  const stop = await startHelpers(engine);
  try {
    const beside = await Promise.all(
      requests().map((each) => answered(engine, each, true)),
    );
    deepEqual(beside, alone);
  } finally {
    stop();
  }
});
