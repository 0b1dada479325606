/** The coordinates of places: the same maps and the same pairs as products with the gradients. */
import { add, dispose, memory, mul, type Tensor, tensor3d } from "@tensorflow/tfjs-core";
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { pairInPlaces } from "../../src/curvature/cost.ts";
import { powerInPlaces } from "../../src/curvature/power_in_places.ts";
import {
  deflated,
  identityStart,
  mixedStart,
  powerSvd,
  rearranged,
} from "../../src/curvature/power_svd.ts";
import type { Samples } from "@/curvature/mod.ts";
import { symmetrize } from "@/linalg/mod.ts";
import { withSamples } from "../support/approximations.ts";
import { cpuTest } from "../support/cpu.ts";
import { type Dense, distance, kronecker, norm } from "../support/dense.ts";
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
        const Y = places.adjoint(U), A = places.inputFactor();
        const V = samples.adjoint(U), W = places.matrixOf(Y);
        ok(V.shape[1] === samples.dIn);
        const found = [
          add(samples.forward(V), mul(samples.forward(A), 0.5)),
          places.forward(add(Y, mul(places.inputCoordinates(), 0.5))),
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

cpuTest("a search in places leaves no tensor but its result", async (engine) => {
  await withSamples<Samples>(engine, LAYERS.conv2d, async (samples, linalg) => {
    const before = memory().numTensors;
    const places = samples.places()!;
    const kfac = { Y: places.inputCoordinates(), G: samples.gradFactor() };
    const { term, placed } = await powerInPlaces(places.without(kfac), "mixed", RULE, linalg);
    dispose([kfac.Y, kfac.G, placed.Y, term.A, term.G, term.sigma]);
    places.dispose();
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
