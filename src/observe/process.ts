/** The metrics of a whole server. @module */
import { Metrics } from "./metrics.ts";

/** The compute side, as much of it as can be counted. */
interface Watchable {
  observe(watcher: {
    turn(turn: Parameters<Metrics["turn"]>[0]): void;
    vitals(vitals: Parameters<Metrics["vitals"]>[0]): void;
    restart(): void;
    session(id: string, event: { readonly event: string; readonly layers?: unknown }): void;
  }): void;
}

/** Metrics of this process, and of its compute Worker for as long as it lives. */
export function metricsOf(compute: Watchable): Metrics {
  const metrics = new Metrics();
  metrics.addProcess();
  compute.observe({
    turn: (turn) => metrics.turn(turn),
    vitals: (vitals) => metrics.vitals(vitals),
    restart: () => metrics.restarted(),
    session: (_, { layers }) => {
      if (layers) metrics.diagnosed("session-refresh", layers as Record<string, unknown>);
    },
  });
  return metrics;
}
