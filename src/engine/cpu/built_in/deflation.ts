/**
 * What a rank-one update leaves as it is.
 *
 * A pole without weight keeps its eigenvector. Of two poles that nearly meet, a rotation of their eigenvectors moves all weight
 * to one, and the other keeps its own.
 *
 * Source: Dongarra, Sorensen 1987 (LAPACK's laed2).
 *
 * @module
 */

/** An entry of D in `D + ρ z zᵀ`, and of z. */
export interface Pole {
  pole: number;
  weight: number;
}

/**
 * Divides poles into those that the update moves, ascending, and those that it leaves.
 *
 * @param poles those that are rotated change.
 * @param tolerance what may be neglected of an entry of the matrix.
 * @param rotate is told of eigenvectors to rotate: `x ← c x + s y`, `y ← c y − s x`.
 */
export function deflate<P extends Pole>(
  poles: readonly P[],
  rho: number,
  tolerance: number,
  rotate: (x: P, y: P, c: number, s: number) => void,
): { moved: P[]; left: P[] } {
  const moved: P[] = [], left: P[] = [];
  let last: P | undefined;
  for (const each of poles.toSorted((x, y) => x.pole - y.pole)) {
    if (rho * Math.abs(each.weight) <= tolerance) {
      left.push(each);
      continue;
    }
    if (last) {
      const weight = Math.hypot(last.weight, each.weight);
      const c = each.weight / weight, s = -last.weight / weight;
      const gap = each.pole - last.pole;
      if (Math.abs(gap * c * s) <= tolerance) {
        rotate(last, each, c, s);
        Object.assign(each, { pole: each.pole - gap * s * s, weight });
        Object.assign(last, { pole: last.pole + gap * s * s, weight: 0 });
        left.push(last);
      } else moved.push(last);
    }
    last = each;
  }
  if (last) moved.push(last);
  return { moved, left };
}
