/** Side of the squares turned at once: rows and columns of 32×32 stay in the first-level cache. */
const TILE = 32;

type Values = Float32Array | Float64Array;

/** A block of a row-major matrix. */
export interface TurnedBlock {
  readonly rows: number;
  readonly columns: number;
  /** Where it starts. @default 0 */
  readonly start?: number;
  /** Elements from one row to the next. @default columns */
  readonly stride?: number;
}

/** Writes the transpose of a block of `from`, `[columns, rows]`, from `at` on. */
export function turn(
  to: Values,
  from: Values,
  { rows, columns, start = 0, stride = columns }: TurnedBlock,
  at = 0,
): void {
  for (let i0 = 0; i0 < rows; i0 += TILE) {
    const iEnd = Math.min(i0 + TILE, rows);
    for (let j0 = 0; j0 < columns; j0 += TILE) {
      const jEnd = Math.min(j0 + TILE, columns);
      for (let i = i0; i < iEnd; i++) {
        const row = start + i * stride;
        for (let j = j0; j < jEnd; j++) to[at + j * rows + i] = from[row + j];
      }
    }
  }
}
