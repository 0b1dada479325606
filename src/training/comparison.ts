/**
 * How runs are compared: when they have a loss, which settings are best, and tables of both.
 *
 * @module
 */
import type { Mark } from "./run.ts";

/** The first mark with a training loss no higher than the target; undefined where none has it. */
export function arrival(marks: readonly Mark[], target: number): Mark | undefined {
  return marks.find(({ trainingLoss }) => trainingLoss <= target);
}

export function finalLoss(marks: readonly Mark[]): number {
  return marks.at(-1)!.trainingLoss;
}

/**
 * The trial that reaches the target in the fewest steps; among equals, where none does or where
 * there is no target, the one of the least final loss. None where all diverge.
 */
export function bestTrial<T extends { readonly marks: readonly Mark[] }>(
  trials: readonly T[],
  target = -Infinity,
): T | undefined {
  const stepsTo = ({ marks }: T) => arrival(marks, target)?.step ?? Number.MAX_SAFE_INTEGER;
  return trials.filter(({ marks }) => Number.isFinite(finalLoss(marks))).sort((a, b) =>
    stepsTo(a) - stepsTo(b) || finalLoss(a.marks) - finalLoss(b.marks)
  )[0];
}

/** The middle value; of an even number the mean of the two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/** A Markdown table whose columns line up in a terminal too. */
export function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((_, column) =>
    Math.max(...[header, ...rows].map((row) => row[column].length), 3)
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join(
    "\n",
  );
}
