/**
 * The server's own counters against what its clients have counted.
 *
 * On routes that every client stays with, each status must have been counted as often as it was
 * received. Where clients leave on purpose a request may have been counted (as 499, or as answered)
 * or never have begun, so there the server's count may be larger, by so many.
 *
 * @module
 */
import { FAULTS_BY_ROUTE } from "./faults.ts";
import type { Tally } from "./tally.ts";

type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** The samples of a metric, from Prometheus's text format. */
export function samplesOf(text: string, metric: string): Sample[] {
  const lines = text.matchAll(new RegExp(`^${metric}(?:\\{(.*)\\})? (\\S+)$`, "gm"));
  return [...lines].map(([, labels = "", value]) => ({
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, text]) => [name, text]),
    ),
    value: Number(value),
  }));
}

/**
 * What does not add up.
 *
 * @param text the answer of `GET /metrics` when nothing is in flight.
 */
export function counterComplaints(text: string, tally: Tally): string[] {
  const counted = new Map<string, number>();
  for (
    const { labels: { method, route, status }, value } of samplesOf(text, "curvd_requests_total")
  ) {
    const key = `${method} ${route.replace(/(.)\/$/, "$1")} ${status}`;
    counted.set(key, (counted.get(key) ?? 0) + value);
  }
  const complaints: string[] = [];
  const routes = new Set([...tally.answers.keys()].map((key) => key.replace(/ \d+$/, "")));
  for (const route of routes) {
    const left = (FAULTS_BY_ROUTE[route] ?? []).reduce(
      (sum, kind) => sum + (tally.faults.get(kind) ?? 0),
      0,
    );
    const [received, seen] = [totals(tally.answers, route), totals(counted, route)];
    for (const status of new Set([...received.keys(), ...seen.keys()])) {
      const surplus = (seen.get(status) ?? 0) - (received.get(status) ?? 0);
      if (surplus < 0 || surplus > left) {
        complaints.push(
          `${route} ${status}: ${seen.get(status) ?? 0} counted, ${
            received.get(status) ?? 0
          } received, ${left} clients left`,
        );
      }
    }
  }
  const restarts = samplesOf(text, "curvd_compute_restarts_total")[0]?.value;
  const killed = (tally.faults.get("compute Worker crashes") ?? 0) +
    (tally.faults.get("device is lost") ?? 0);
  // one that is killed while it starts again is not killed twice
  if (!(restarts <= killed && (killed === 0 || restarts > 0))) {
    complaints.push(`${restarts} restarts counted, ${killed} faults of the Worker`);
  }
  for (const metric of ["curvd_queue_requests", "curvd_queue_reserved_bytes"]) {
    for (const { labels, value } of samplesOf(text, metric)) {
      if (value !== 0) {
        complaints.push(`${metric} ${Object.values(labels)} is ${value}, nothing is in flight`);
      }
    }
  }
  return complaints;
}

/** Counts of a route by status. */
function totals(counts: ReadonlyMap<string, number>, route: string): Map<string, number> {
  const own = [...counts].filter(([key]) => key.replace(/ \d+$/, "") === route);
  return new Map(own.map(([key, count]) => [key.slice(key.lastIndexOf(" ") + 1), count]));
}
