/**
 * The leading singular pair of the rearranged Fisher block by power iteration in the coordinates of places.
 *
 *   U ← R Rᵀ U / ‖R Rᵀ U‖   until U changes no more,   then  V = Rᵀ U / σ,  σ = ‖Rᵀ U‖
 *
 * The iterates of power_svd.ts from the other side: there a round ends with V, here V is formed once, of the last U.
 *
 * @module
 */
import {
  dispose,
  greater,
  max,
  neg,
  onesLike,
  type Scalar,
  sqrt,
  sub,
  type Tensor1D,
  tidy,
  where,
} from "@tensorflow/tfjs-core";
import {
  frobeniusNorm,
  largestEntry,
  type LinearAlgebra,
  reciprocal,
  scaleEach,
  type Stack,
  trace,
} from "@/linalg/mod.ts";
import type { PlacedTerm, PlaceSpace } from "./place_space.ts";
import { identityStart, mixedStart, normalized, scaledTerm, stoppingBy } from "./power_svd.ts";
import type { LeadingTerm, StoppingRule } from "./term.ts";

/** A leading pair, with its A in coordinates; the caller disposes `placed.x`, and the term as any other. */
export interface LeadingPlaced extends LeadingTerm {
  readonly placed: PlacedTerm;
}

/**
 * Iterates to the leading pair of a space.
 *
 * @param start of one sign, for the first pair, or of both, for what a term has left.
 */
export async function powerInPlaces(
  space: PlaceSpace,
  start: "positive" | "mixed",
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<LeadingPlaced> {
  const side = { dIn: space.dOut, groups: space.groups };
  let U: Stack = start === "positive" ? identityStart(side) : mixedStart(side);
  const isOver = stoppingBy(rule);
  let iterations = 1; // the last, which forms V
  while (iterations < rule.maxIterations) {
    iterations++;
    const round = tidy(() => {
      const x = space.adjoint(U); // R Rᵀ U is of σ², which float32 may not hold
      const { unit } = normalized(space.forward(scaleEach(x, reciprocal(largestEntry(x)))));
      return { U: unit, change: max(frobeniusNorm(sub(unit, U))) as Scalar };
    });
    dispose(U);
    U = round.U;
    const [change] = await linalg.numbers([round.change]);
    dispose(round.change);
    if (isOver(change, iterations)) break;
  }
  const { V, sigma, oriented, x } = tidy(() => {
    const oriented = scaleEach(U, signOf(trace(U)));
    const x = space.adjoint(oriented);
    const { unit: V, norm: sigma } = normalized(space.matrixOf(x));
    return { V, sigma, oriented, x: scaleEach(x, reciprocal(sqrt(sigma))) }; // A = √σ V = RᵀU/√σ
  });
  const term = scaledTerm(oriented, V, sigma);
  dispose([U, V, oriented]);
  return { term, placed: { x, G: term.G }, iterations };
}

/** −1 below zero, else 1. */
function signOf(t: Tensor1D): Tensor1D {
  return where(greater(0, t), neg(onesLike(t)), onesLike(t));
}
