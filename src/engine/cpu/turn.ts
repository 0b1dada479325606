/**
 * Rows turned at once. Their pieces of a column are written side by side: half a line of the cache. More rows than a cache has
 * ways would drive each other out where the side is a power of two (a mirror of 1024: 3.2 ms in squares of 32, 0.3 like this).
 */
export const BAND = 8;

export type Values = Float32Array | Float64Array;

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
export function turn(to: Values, from: Values, block: TurnedBlock, at = 0): void {
  const { rows, columns, start = 0, stride = columns } = block;
  const whole = rows - rows % BAND;
  for (let i = 0; i < whole; i += BAND) {
    turnBand(to, from, { columns, start: start + i * stride, stride }, at + i, rows);
  }
  for (let i = whole; i < rows; i++) {
    const row = start + i * stride;
    for (let j = 0; j < columns; j++) to[at + j * rows + i] = from[row + j];
  }
}

/** Writes the transpose of eight rows of `from` from `at` on, with so many elements from one of its rows to the next. */
export function turnBand(
  to: Values,
  from: Values,
  { columns, start, stride }: Required<Omit<TurnedBlock, "rows">>,
  at: number,
  step: number,
): void {
  const r0 = start, r1 = r0 + stride, r2 = r1 + stride, r3 = r2 + stride;
  const r4 = r3 + stride, r5 = r4 + stride, r6 = r5 + stride, r7 = r6 + stride;
  for (let j = 0, place = at; j < columns; j++, place += step) {
    to[place] = from[r0 + j];
    to[place + 1] = from[r1 + j];
    to[place + 2] = from[r2 + j];
    to[place + 3] = from[r3 + j];
    to[place + 4] = from[r4 + j];
    to[place + 5] = from[r5 + j];
    to[place + 6] = from[r6 + j];
    to[place + 7] = from[r7 + j];
  }
}
