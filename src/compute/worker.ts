/**
 * The compute Worker: owns the engine, answers calls one after the other.
 *
 * A WebGPU read blocks its thread while the device works, and BLAS is busy with all cores: neither may happen where HTTP
 * is answered. Calls are taken in order; one that was aborted while it waited is not begun.
 *
 * @module
 */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { METHODS } from "@/curvature/mod.ts";
import { type Engine, openEngine } from "@/engine/mod.ts";
import { CurvdError, packError } from "@/errors.ts";
import { buffersOf } from "@/wire/mod.ts";
import { CALL_HANDLERS } from "./calls/mod.ts";
import type { CallName, FromWorker, Offer, ToWorker } from "./protocol.ts";

let engine: Engine;
const aborted = new Set<number>();
let last: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.type) {
    case "start":
      return enqueue(() => start(data));
    case "call": {
      const taken = performance.now();
      return enqueue(() => answer(data, taken));
    }
    case "device":
      return enqueue(() => {
        const report = { ...engine.facts, memory: engine.memory() };
        send({ type: "device", id: data.id, report });
        return Promise.resolve();
      });
    case "abort":
      aborted.add(data.id);
      return;
    case "stop":
      return enqueue(stop);
  }
};

/** One after the other: the device is one, and a result must not depend on what else runs. */
function enqueue(work: () => Promise<void>): void {
  last = last.then(work);
}

async function start({ settings }: ToWorker & { type: "start" }): Promise<void> {
  try {
    engine = await openEngine(settings);
    engine.lost.then((reason) => send({ type: "lost", reason }));
    send({ type: "ready", facts: engine.facts, offer: offer() });
  } catch (error) {
    send({ type: "failed", error: packError(error) });
  }
}

async function answer(
  { id, call, request }: ToWorker & { type: "call" },
  taken: number,
): Promise<void> {
  const begun = performance.now();
  try {
    if (aborted.delete(id)) {
      throw new CurvdError("aborted", "The client left before its work began");
    }
    const answer = await CALL_HANDLERS[call](engine, request as never);
    const ended = performance.now();
    answer.timing = {
      ...(answer.timing as Record<string, number>),
      wait_ms: begun - taken,
      total_ms: ended - taken,
    };
    send({ type: "answer", id, answer }, buffersOf(answer));
  } catch (error) {
    send({ type: "error", id, error: packError(error) });
  } finally {
    aborted.delete(id);
  }
}

/** What the routes may offer: the calls there are, and the body of `GET /v1/methods`. */
function offer(): Offer {
  const calls = Object.keys(CALL_HANDLERS) as CallName[];
  const methods = Object.entries(METHODS).map(([method, entry]) => ({
    method,
    approximation: entry.approximation,
    paper: entry.paper,
    layers: entry.layers,
    damping_rules: entry.dampingRules,
    takes_power: entry.takesPower,
    coupled: entry.isCoupled,
    parameters: entry.parameters,
  }));
  return { calls, methods };
}

async function stop(): Promise<void> {
  await engine?.close();
  send({ type: "stopped" });
  self.close();
}

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer);
}
