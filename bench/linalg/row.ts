/**
 * A row of the table: one figure of ours against one of theirs, from the same run.
 *
 * @module
 */

export interface Row {
  /** `cpu`, `built-in`, `webgpu`. */
  readonly engine: string;
  /** `eigh 512`, `inverse 16×64`. */
  readonly work: string;
  /** Median milliseconds. */
  readonly ours: number;
  readonly peer: string;
  readonly theirs: number;
  readonly ratio: number;
  /** The ratio not to exceed, where one is set. */
  readonly bar: number | null;
  readonly residual: number | null;
}

export function row(
  measured: Omit<Row, "ratio" | "bar" | "residual"> & { bar?: number; residual?: number },
): Row {
  const { bar = null, residual = null, ...rest } = measured;
  return { ...rest, bar, residual, ratio: measured.ours / measured.theirs };
}

export function isHeld({ ratio, bar }: Row): boolean {
  return bar === null || ratio <= bar;
}

const COLUMNS: readonly [title: string, cell: (row: Row) => string][] = [
  ["engine", ({ engine }) => engine],
  ["work", ({ work }) => work],
  ["ms", ({ ours }) => digits(ours)],
  ["peer", ({ peer }) => peer],
  ["ms", ({ theirs }) => digits(theirs)],
  ["ratio", ({ ratio }) => ratio.toFixed(2)],
  ["bar", ({ bar }) => bar === null ? "" : `≤ ${bar}`],
  ["", (each) => each.bar === null ? "" : isHeld(each) ? "holds" : "missed"],
  ["residual", ({ residual }) => residual === null ? "" : residual.toExponential(1)],
];

/** The rows as a table for a terminal. */
export function table(rows: readonly Row[]): string {
  const cells = [
    COLUMNS.map(([title]) => title),
    ...rows.map((each) => COLUMNS.map(([, cell]) => cell(each))),
  ];
  const widths = COLUMNS.map((_, at) => Math.max(...cells.map((line) => line[at].length)));
  return cells.map((line) => line.map((cell, at) => cell.padEnd(widths[at])).join("  ").trimEnd())
    .join("\n");
}

function digits(ms: number): string {
  return ms < 10 ? ms.toFixed(3) : ms.toFixed(1);
}
