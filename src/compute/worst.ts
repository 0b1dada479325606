import type { Report } from "@/linalg/mod.ts";

/** Of several reports, as of the groups of a convolution: the largest of each number, and float64 where one was. */
export function worst(reports: readonly Report[]): Report {
  const merged = { ...reports[0] } as Record<string, number | string>;
  for (const report of reports) {
    for (const [fact, value] of Object.entries(report)) {
      if (typeof value === "number") merged[fact] = Math.max(Number(merged[fact] ?? value), value);
      else if (value === "float64") merged[fact] = value;
    }
  }
  return merged as unknown as Report;
}
