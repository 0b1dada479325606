/**
 * The leading pairs of the rearranged Fisher block by Golub–Kahan bidiagonalization in the coordinates of places.
 *
 * A vector of the right side is held as its coordinates and its restriction, one above the other: `⟨V, V'⟩ = x · x'*`, and `R V`
 * takes x* alone. Coordinates are made orthogonal first, by the restrictions of those before, and restricted then: so a step
 * costs one restriction, as a round of power iteration does, and what is left of a vector is a vector still, however little.
 *
 * @module
 */
import {
  add,
  concat,
  mul,
  relu,
  slice,
  sqrt,
  square,
  sub,
  type Tensor1D,
  type Tensor3D,
  tidy,
  zerosLike,
} from "@tensorflow/tfjs-core";
import {
  innerProduct,
  largestEntry,
  type LinearAlgebra,
  reciprocal,
  scaleEach,
  type Stack,
} from "@/linalg/mod.ts";
import {
  beyondNoise,
  type Bidiagonalizable,
  broadStart,
  lanczosPairs,
  STEPS,
  type Unit,
} from "./lanczos.ts";
import type { PlaceSpace } from "./place_space.ts";
import { normalized } from "./power_svd.ts";
import type { Samples } from "../samples.ts";
import type { KroneckerTerms, StoppingRule } from "./term.ts";

/** The leading terms of a space. */
export function lanczosInPlaces(
  space: PlaceSpace,
  count: 1 | 2,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<KroneckerTerms> {
  return lanczosPairs(ofPlaces(space), count, rule, linalg);
}

/** Values of the vectors that a cycle keeps. */
export function lanczosValues(
  { groups: b, dOut, locations: T }: Pick<Samples, "groups" | "dOut" | "locations">,
  n: number,
): number {
  return b * ((STEPS + 1) * 2 * n * T ** 2 + STEPS * dOut ** 2);
}

function ofPlaces(space: PlaceSpace): Bidiagonalizable {
  const { groups: b, dOut } = space;
  const row = (v: Stack, which: 0 | 1): Tensor3D => slice(v, [0, which, 0], [b, 1, v.shape[2]]);
  const adjoint = (U: Stack, basis: readonly Stack[]): Unit =>
    tidy(() => {
      const image = space.adjoint(U);
      const largest = largestEntry(image);
      let x: Tensor3D = scaleEach(image, reciprocal(largest));
      let along: Tensor1D = zerosLike(largest); // Σ ⟨V, q⟩²
      for (let round = 0; round < 2; round++) {
        for (const q of basis) {
          const part = innerProduct(x, row(q, 1));
          x = sub(x, scaleEach(row(q, 0), part));
          along = add(along, square(part));
        }
      }
      const dual = space.restriction(x);
      const length = lengthOf(x, dual);
      const rest = beyondNoise(length, sqrt(add(along, square(length))));
      const unit = scaleEach(concat([x, dual], 1), reciprocal(rest));
      return { unit, norm: mul<Tensor1D>(rest, largest) };
    });
  return {
    groups: b,
    start: () =>
      tidy(() => adjoint(normalized(broadStart({ dIn: dOut, groups: b })).unit, []).unit),
    forward: (v) => tidy(() => space.image(row(v, 1))),
    adjoint,
    unitSum: (vectors) =>
      tidy(() => {
        const sum = vectors.reduce((all, v) => add(all, v));
        return scaleEach(sum, reciprocal(lengthOf(row(sum, 0), row(sum, 1))));
      }),
    matrixOf: (v) => tidy(() => space.matrixOf(row(v, 0))),
  };
}

/** `√(x · x*)`, of vectors that may be far from one in size: their product may be beyond float32. */
function lengthOf(x: Tensor3D, dual: Tensor3D): Tensor1D {
  const [a, b] = [x, dual].map((each) => {
    const largest = largestEntry(each);
    return { scaled: scaleEach(each, reciprocal(largest)), root: sqrt(largest) };
  });
  return mul(mul(a.root, b.root), sqrt(relu(innerProduct(a.scaled, b.scaled)))) as Tensor1D;
}
