/** Whether the server still answers while it computes. @module */
import { tensorOf } from "@/wire/mod.ts";
import { bodyOf, factorOf, SAFETENSORS_HEADERS } from "./factors.ts";
import { percentile } from "./load.ts";
import type { RunningServer } from "./server.ts";

const SIDE = 1024, BAR_P99_MS = 50;

/** p50 and p99 of `GET /health/live` while eigendecompositions of 1024 follow each other. */
export async function healthRow(
  { url }: RunningServer,
  engine: string,
): Promise<Record<string, unknown>> {
  const body = bodyOf({ layers: { l: { A: tensorOf([SIDE, SIDE], factorOf(SIDE)) } } });
  let isComputing = true, computed = 0;
  const leaving = new AbortController(); // software Vulkan takes minutes: its client leaves when all is measured
  const work = (async () => {
    do {
      const response = await fetch(`${url}/v1/eigenbases`, {
        method: "POST",
        body,
        headers: SAFETENSORS_HEADERS,
        signal: leaving.signal,
      });
      if (!response.ok) throw new Error(await response.text());
      await response.arrayBuffer();
      computed++;
    } while (isComputing);
  })().catch((error) => {
    if (!leaving.signal.aborted) throw error;
  });
  const times: number[] = [];
  const until = performance.now() + 15_000;
  while (performance.now() < until) {
    const started = performance.now();
    await (await fetch(`${url}/health/live`)).body?.cancel();
    times.push(performance.now() - started);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  isComputing = false;
  leaving.abort();
  await work;
  return {
    engine,
    eigh_1024_done: computed,
    requests: times.length,
    p50_ms: percentile(times, 0.5),
    p99_ms: percentile(times, 0.99),
    max_ms: percentile(times, 1),
    bar_p99_ms: BAR_P99_MS,
  };
}
