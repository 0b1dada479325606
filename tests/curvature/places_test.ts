/** The coordinates of places: the same maps and the same pairs as products with the gradients. */
import {
  add,
  dispose,
  memory,
  mul,
  type Tensor,
  type Tensor3D,
  tensor3d,
  tidy,
} from "@tensorflow/tfjs-core";
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { pairInPlaces } from "../../src/curvature/cost.ts";
import { searchByProducts } from "../../src/curvature/pairs/by_products.ts";
import { searchOfPlaces } from "../../src/curvature/pairs/in_places.ts";
import { lanczosInPlaces } from "../../src/curvature/pairs/lanczos_in_places.ts";
import { powerInPlaces } from "../../src/curvature/pairs/power_in_places.ts";
import {
  deflated,
  identityStart,
  mixedStart,
  powerSvd,
  rearranged,
} from "../../src/curvature/pairs/power_svd.ts";
import type { PairSearch, Past } from "../../src/curvature/pairs/search.ts";
import type { KroneckerTerm, KroneckerTerms } from "../../src/curvature/pairs/term.ts";
import { average } from "../../src/curvature/running_average.ts";
import type { Samples } from "@/curvature/mod.ts";
import { tensorOf, type WireTensor } from "@/wire/mod.ts";
import { gram, symmetrize } from "@/linalg/mod.ts";
import { withSamples } from "../support/approximations.ts";
import { cpuTest } from "../support/cpu.ts";
import { type Dense, distance, kronecker, norm } from "../support/dense.ts";
import type { RequestLayer } from "../support/calls.ts";
import { convLayer, denseLayer } from "../support/layer_cases.ts";
import { gaussian } from "../support/matrices.ts";

const RULE = { tolerance: 1e-6, maxIterations: 1000 };

const LAYERS = {
  sequence: denseLayer({ n: 9, s: 3, dIn: 8, dOut: 5, seed: 701 }),
  "one example": denseLayer({ n: 1, s: 4, dIn: 6, dOut: 3, seed: 702 }),
  conv2d: convLayer({ n: 7, channels: 3, filters: 4, image: [4, 3], kernel: [3, 2], seed: 703 }),
};

for (const [kind, layer] of Object.entries(LAYERS)) {
  cpuTest(`places of a ${kind} layer give the maps that its gradients give`, async (engine) => {
    const [image, placed, inputs, fromPlaces] = await withSamples<Samples>(
      engine,
      layer,
      (samples) => {
        const { groups, dOut } = samples;
        const places = samples.places()!;
        const U = symmetrize(tensor3d(gaussian([groups, dOut, dOut], 7), [groups, dOut, dOut]));
        const x = places.adjoint(U), A = places.inputFactor();
        const V = samples.adjoint(U), W = places.matrixOf(x);
        ok(V.shape[1] === samples.dIn);
        const found = [
          add(samples.forward(V), mul(samples.forward(A), 0.5)),
          places.forward(add(x, mul(places.inputCoordinates(), 0.5))),
          V,
          W,
        ] as Tensor[];
        places.dispose();
        return found;
      },
    );
    expectNear("R(RᵀU + A/2)", placed, image, 2e-6);
    expectNear("RᵀU", fromPlaces, inputs, 2e-6);
  });

  cpuTest(`places of a ${kind} layer give the pairs that its gradients give`, async (engine) => {
    const [A, G, A2, G2, B, H, B2, H2] = await withSamples<Samples>(
      engine,
      layer,
      async (samples, linalg) => {
        const R = rearranged(samples);
        const { term: first } = await powerSvd(R, identityStart(R), RULE, linalg);
        const { term: second } = await powerSvd(deflated(R, first), mixedStart(R), RULE, linalg);
        const places = samples.places()!;
        const leading = await powerInPlaces(places, "positive", RULE, linalg);
        const rest = places.without(leading.placed);
        const next = await powerInPlaces(rest, "mixed", RULE, linalg);
        places.dispose();
        return [first, second, leading.term, next.term].flatMap(({ A, G }) => [A, G]);
      },
    );
    const whole = kronecker(G, A);
    expectNear("first", kronecker(H, B), whole, 2e-5);
    const error = distance(kronecker(H2, B2), kronecker(G2, A2));
    ok(error <= 1e-4 * norm(whole), `second: ${error} of ${norm(whole)}`);
  });
}

/** What each search finds of a batch, or of a running average whose second term is indefinite. */
const SEARCHES: Record<string, (search: PairSearch, kfac: Factors) => Promise<KroneckerTerms>> = {
  "the first pair and the next": async (search) => {
    const { term, iterations, rest } = await search.first();
    const next = await rest.next();
    return { terms: [term, next.term], iterations };
  },
  "the first pair, and one of what it leaves by bidiagonalization": async (search) => {
    const { term, iterations, rest } = await search.first();
    const next = await rest.bidiagonalized(1);
    return { terms: [term, ...next.terms], iterations };
  },
  "two pairs by bidiagonalization": (search) => search.bidiagonalized(2),
  "what K-FAC leaves": async (search, kfac) => {
    const { term, iterations } = await search.correction(kfac);
    return { terms: [term], iterations };
  },
};

/** Small ones, whose spaces are exhausted before a cycle of bidiagonalization is over. */
const EXHAUSTED = Object.fromEntries(
  Array.from({ length: 8 }, (_, i) => [
    `small ${i % 2 === 0 ? "sequence" : "conv2d"} ${i}`,
    i % 2 === 0
      ? denseLayer({
        n: 1 + i % 5,
        s: 2 + i % 3,
        dIn: 2 + i % 6,
        dOut: 1 + i % 4,
        seed: 7100 + 9 * i,
      })
      : convLayer({
        n: 1 + i % 4,
        channels: 1 + i % 3,
        filters: 1 + i % 5,
        image: [3 + i % 3, 3],
        kernel: [1 + i % 3, 2],
        seed: 7100 + 9 * i,
      }),
  ]),
);

const SEARCHED: Record<string, RequestLayer> = {
  ...LAYERS,
  ...EXHAUSTED,
  "grouped conv2d": convLayer({
    n: 5,
    channels: 4,
    filters: 6,
    groups: 2,
    image: [4, 4],
    kernel: [2, 2],
    backprops: 2,
    fisher: "sampled",
    seed: 705,
  }),
};

type Factors = Pick<KroneckerTerm, "A" | "G">;

for (const [kind, layer] of Object.entries(SEARCHED)) {
  for (const rho of [0, 0.3]) {
    for (const [what, find] of Object.entries(SEARCHES)) {
      const of = rho === 0 ? "a batch" : "a running average";
      cpuTest(`places of ${of} of a ${kind} layer: ${what}, as by products`, async (engine) => {
        const found = await withSamples<Samples>(engine, layer, async (samples, linalg) => {
          const past = rho === 0 ? null : pastOf(samples, rho);
          const kfac = runningFactors(samples, past);
          const byProducts = searchByProducts(samples, past, RULE, linalg);
          const inPlaces = searchOfPlaces(samples.places()!, past, RULE, linalg);
          const pairs: KroneckerTerm[] = [];
          for (const search of [byProducts, inPlaces]) {
            pairs.push(...(await find(search, kfac)).terms);
            search.dispose();
          }
          return pairs.flatMap(({ A, G }) => [A, G]);
        });
        const half = found.length / 2;
        const products = Array.from(
          { length: half },
          (_, at) => blockwise(found[2 * at + 1], found[2 * at], layer.groups as number ?? 1),
        );
        const scale = norm(products[0]);
        for (let at = 0; at < half / 2; at++) {
          const error = distance(products[at + half / 2], products[at]);
          ok(error <= 1e-4 * scale, `pair ${at}: ${error} of ${scale}`);
        }
      });
    }
  }
}

for (const scale of [1e-11, 1e9]) {
  const layer = LAYERS.sequence;
  const grads = layer.output_gradients as WireTensor;
  const scaled = {
    ...layer,
    output_gradients: tensorOf(grads.shape, Float32Array.from(grads.data, (g) => scale * g)),
  };
  for (const [what, find] of Object.entries(SEARCHES).slice(0, 3)) {
    cpuTest(`${what}, of gradients ${scale} times as large`, async (engine) => {
      const found = [];
      for (const sent of [layer, scaled]) {
        found.push(
          await withSamples<Samples>(engine, sent, async (samples, linalg) => {
            const kfac = runningFactors(samples, null);
            const byProducts = searchByProducts(samples, null, RULE, linalg);
            const inPlaces = searchOfPlaces(samples.places()!, null, RULE, linalg);
            const sigmas: Tensor[] = [];
            for (const search of [byProducts, inPlaces]) {
              sigmas.push(...(await find(search, kfac)).terms.map(({ sigma }) => sigma));
              search.dispose();
            }
            return sigmas;
          }),
        );
      }
      const [expected, actual] = found.map((sigmas) => sigmas.map(([sigma]) => sigma));
      actual.forEach((sigma, at) => {
        const ratio = sigma / scale ** 2 / expected[at];
        ok(Math.abs(ratio - 1) <= 1e-4, `${at}: ${sigma} is ${ratio} of what it should be`);
      });
    });
  }
}

/** `G ⊗ A` of each block. */
function blockwise(G: Dense, A: Dense, groups: number): Dense {
  const block = (M: Dense, b: number) =>
    M.slice(b * M.length / groups, (b + 1) * M.length / groups);
  return Float64Array.from(
    Array.from({ length: groups }, (_, b) => [...kronecker(block(G, b), block(A, b))]).flat(),
  );
}

/** A positive semidefinite term, and a smaller one of both signs. */
function pastOf({ dIn, dOut, groups }: Samples, rho: number): Past {
  const random = (d: number, seed: number): Tensor3D =>
    tensor3d(gaussian([groups, d, d], seed), [groups, d, d]);
  return tidy(() => ({
    terms: [
      { A: gram(random(dIn, 11), 1 / dIn), G: gram(random(dOut, 12), 1 / dOut) },
      { A: symmetrize(mul(random(dIn, 13), 0.1)), G: symmetrize(mul(random(dOut, 14), 0.1)) },
    ],
    rho,
  }));
}

function runningFactors(samples: Samples, past: Past | null): Factors {
  return tidy(() => {
    const A = samples.inputFactor(), G = samples.gradFactor();
    if (!past) return { A, G };
    const { terms: [old], rho } = past;
    return { A: average(old.A, A, rho), G: average(old.G, G, rho) };
  });
}

cpuTest("lanczos in places finds one pair where there is but one", async (engine) => {
  const pair = convLayer({
    n: 1,
    channels: 2,
    filters: 1,
    image: [3, 3],
    kernel: [2, 2],
    seed: 704,
  });
  const [A, G, A2, G2] = await withSamples<Samples>(engine, pair, async (samples, linalg) => {
    const places = samples.places()!;
    const { terms } = await lanczosInPlaces(places, 2, RULE, linalg);
    places.dispose();
    return terms.flatMap(({ A, G }) => [A, G]);
  });
  const whole = norm(kronecker(G, A)), rest = norm(kronecker(G2, A2));
  ok(whole > 0 && rest <= 1e-6 * whole, `${rest} beside ${whole}`);
});

cpuTest("a search in places leaves no tensor but its result", async (engine) => {
  await withSamples<Samples>(engine, LAYERS.conv2d, async (samples, linalg) => {
    const before = memory().numTensors;
    const places = samples.places()!;
    const kfac = { x: places.inputCoordinates(), G: samples.gradFactor() };
    const { term, placed } = await powerInPlaces(places.without(kfac), "mixed", RULE, linalg);
    dispose([kfac.x, kfac.G, placed.x, term.A, term.G, term.sigma]);
    places.dispose();
    const past = pastOf(samples, 0.3), kfacs = runningFactors(samples, past);
    const kept = memory().numTensors;
    for (const find of Object.values(SEARCHES)) {
      const search = searchOfPlaces(samples.places()!, past, RULE, linalg);
      const { terms } = await find(search, kfacs);
      search.dispose();
      for (const { A, G, sigma } of terms) dispose([A, G, sigma]);
      deepEqual(memory().numTensors, kept);
    }
    dispose([past.terms.flatMap(({ A, G }) => [A, G]), kfacs.A, kfacs.G] as Tensor[]);
    deepEqual(memory().numTensors, before);
    return [];
  });
});

Deno.test("pairInPlaces() takes few places of wide rows, and nothing beyond its memory", () => {
  const late = { groups: 1, dIn: 2305, dOut: 256, locations: 49 };
  ok(pairInPlaces(late, 128).pays);
  ok(!pairInPlaces({ ...late, dIn: 577, dOut: 64, locations: 784 }, 128).pays, "many places");
  ok(!pairInPlaces({ ...late, locations: 1 }, 128).pays, "one place: coordinates of the samples");
  ok(!pairInPlaces(late, 512).pays, "a Gram matrix of 2.5 GB");
});

function expectNear(what: string, found: Dense, expected: Dense, tolerance: number): void {
  const error = distance(found, expected);
  ok(error <= tolerance * norm(expected), `${what}: ${error} of ${norm(expected)}`);
}
