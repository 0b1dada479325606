/**
 * The leading pairs of the rearranged Fisher block by Golub–Kahan bidiagonalization in the coordinates of places.
 *
 * A vector of the right side is held as its coordinates and its restriction, one above the other: both go with V linearly,
 * `⟨V, V'⟩ = x · x'*`, and `R V` takes x* alone. So a step costs one restriction, as a round of power iteration does.
 *
 * @module
 */
import { concat, slice, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { innerProduct, type LinearAlgebra, type Stack } from "@/linalg/mod.ts";
import { type Bidiagonalizable, broadStart, lanczosPairs, STEPS } from "./lanczos.ts";
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
  const adjoint = (U: Stack): Stack =>
    tidy(() => {
      const x = space.adjoint(U);
      return concat([x, space.restriction(x)], 1);
    });
  return {
    groups: b,
    // of an image of R: what R takes to nothing would stay in the coordinates as noise
    start: () =>
      tidy(() => {
        const U = normalized(broadStart({ dIn: dOut, groups: b })).unit;
        return adjoint(normalized(space.forward(space.adjoint(U))).unit);
      }),
    forward: (v) => tidy(() => space.image(row(v, 1))),
    adjoint,
    inner: (v, w) => tidy(() => innerProduct(row(v, 0), row(w, 1))),
    matrixOf: (v) => tidy(() => space.matrixOf(row(v, 0))),
  };
}
