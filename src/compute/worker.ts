/**
 * The compute Worker: owns the engine, gives calls their turn at it.
 *
 * A WebGPU read blocks its thread while the device works, and BLAS is busy with all cores: neither may happen where HTTP
 * is answered. Stateless calls are taken in order, and one that was aborted while it waited is not begun; a session's call takes
 * a turn for each of its pieces, and others go between while it waits for the store.
 *
 * @module
 */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { GRADIENT_METHODS, METHODS } from "@/curvature/mod.ts";
import { type Engine, openEngine } from "@/engine/mod.ts";
import { CurvdError, packError } from "@/errors.ts";
import { configureLog, faultOf, log } from "@/log.ts";
import { buffersOf, freeTensors } from "@/wire/mod.ts";
import { startHelpers } from "@/linalg/mod.ts";
import { StoreClient } from "@/sessions/mod.ts";
import { CALL_HANDLERS, onlySolves } from "./calls/mod.ts";
import type { CallName, FromWorker, Offer, ToWorker } from "./protocol.ts";
import { giveWay } from "./niceness.ts";
import { SessionHost } from "./session_host.ts";
import { DeviceTurns } from "./device_turns.ts";

let engine: Engine;
/** Ends the threads that help the engine. */
let stopHelpers: () => void = () => {};
/** Calls that were taken and not answered, by their ids: aborted where nobody waits for them any more. */
const pending = new Map<number, AbortController>();
/** The device is one; who waits for it at the same time shares a turn. */
const device = new DeviceTurns((turn) => send({ type: "turn", turn }));
let host: SessionHost | undefined;
let housekeeping: ReturnType<typeof setInterval> | undefined;
let isPaying = false;
let isLost = false;

/** Calls that compute, or measure, outside of what can be shared. */
const TAKES_TURN_ALONE: ReadonlySet<CallName> = new Set([
  "approximation-errors",
  "kronecker-terms",
  "plan",
]);

/** Calls in work at a time for each core: one is being solved, one is at hand. */
const CALLS_PER_CORE = 2;

/** How often sessions that nobody touches are looked for, and the vitals are told. */
const HOUSEKEEPING_MS = 1000;

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (isLost) return; // whoever asks was refused already
  switch (data.type) {
    case "start":
      start(data);
      return;
    case "call":
      answer(data);
      return;
    case "session":
      answerSession(data, performance.now());
      return;
    case "device":
      device.alone(() => {
        const report = { ...engine.facts, memory: engine.memory() };
        send({ type: "device", id: data.id, report });
        return Promise.resolve();
      });
      return;
    case "abort":
      pending.get(data.id)?.abort();
      return;
    case "stop":
      stop();
      return;
  }
};

/** What sessions have put off goes behind the calls that wait: a slice, then whoever came meanwhile, then the next. */
async function payDebts(): Promise<void> {
  if (isPaying) return;
  isPaying = true;
  try {
    for (let debt = host?.debt(); debt; debt = host?.debt()) await debt();
  } catch (error) {
    log.error("work put off for a session failed", faultOf(error)); // and is tried again after the next call
  }
  isPaying = false;
}

async function start({ settings, store }: ToWorker & { type: "start" }): Promise<void> {
  if (settings.log) configureLog(settings.log);
  giveWay();
  try {
    engine = await openEngine(settings);
    device.lanes = CALLS_PER_CORE * navigator.hardwareConcurrency;
    stopHelpers = await startHelpers(engine);
    if (store) {
      host = new SessionHost({
        engine,
        store: new StoreClient(store),
        budgetBytes: settings.memoryBytes ?? Infinity,
        emit: (session, event) => send({ type: "event", session, event }),
        device: device.alone,
        together: device.together,
      });
      await host.start();
    }
    housekeeping = setInterval(() => {
      host?.expire().catch(report);
      tellVitals();
    }, HOUSEKEEPING_MS);
    engine.lost.then(lose);
    send({ type: "ready", facts: engine.facts, offer: offer() });
  } catch (error) {
    send({ type: "failed", error: packError(error) });
  }
}

async function answer({ id, call, request }: ToWorker & { type: "call" }): Promise<void> {
  const taken = performance.now();
  const leaving = new AbortController();
  pending.set(id, leaving);
  const isBeside = engine.kind === "cpu" && onlySolves(call);
  const turn = isBeside
    ? device.beside
    : TAKES_TURN_ALONE.has(call)
    ? device.alone
    : device.together;
  try {
    const { answer, begun } = await turn(async () => {
      const begun = performance.now();
      const { signal } = leaving;
      if (signal.aborted) throw new CurvdError("aborted", "The client left before its work began");
      return {
        answer: await CALL_HANDLERS[call](engine, request as never, { signal, isBeside }),
        begun,
      };
    });
    const timing = answer.timing as Record<string, number>;
    timing.wait_ms += begun - taken;
    timing.total_ms = performance.now() - taken;
    send({ type: "answer", id, answer }, buffersOf(answer));
  } catch (error) {
    send({ type: "error", id, error: packError(error) });
  } finally {
    pending.delete(id);
    freeTensors(request); // left to the collector, they would have it look through the whole heap after every few calls
  }
}

async function answerSession(
  { id, call }: ToWorker & { type: "session" },
  taken: number,
): Promise<void> {
  try {
    if (!host) throw new CurvdError("unsupported", "This server keeps no sessions");
    const answer = await host.answer(call);
    if (answer.timing) Object.assign(answer.timing, { total_ms: performance.now() - taken });
    send({ type: "answer", id, answer }, buffersOf(answer));
  } catch (error) {
    send({ type: "error", id, error: packError(error) });
  }
  payDebts();
}

/** Tells the HTTP thread what there is to count. */
function tellVitals(): void {
  send({ type: "vitals", vitals: { memory: engine.memory(), sessions: host?.counts() ?? null } });
}

function report(error: unknown): void {
  log.error("an idle session could not be ended", faultOf(error));
}

/** What the routes may offer: the calls there are, and the body of `GET /v1/methods`. */
function offer(): Offer {
  const calls = Object.keys(CALL_HANDLERS) as CallName[];
  const offered = { ...METHODS, ...(host ? GRADIENT_METHODS : {}) };
  const methods = Object.entries(offered).map(([method, entry]) => ({
    method,
    ...(method in METHODS ? {} : { sessions_only: true }),
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

/** A fault that nobody caught: what it has left behind is not known, so that another Worker takes over. */
function onFault(event: ErrorEvent | PromiseRejectionEvent): void {
  event.preventDefault(); // unhandled, it would end this thread in the middle of a library's call
  const fault = event instanceof ErrorEvent ? event.error : event.reason;
  log.error("the compute Worker met a bug", faultOf(fault));
  lose("the compute Worker met a bug");
}
self.addEventListener("error", onFault);
self.addEventListener("unhandledrejection", onFault);

/** Gives up what is under way, and ends when no library call is. */
async function lose(reason: string): Promise<void> {
  if (isLost) return;
  isLost = true;
  clearInterval(housekeeping);
  send({ type: "lost", reason });
  for (const leaving of pending.values()) leaving.abort();
  await device.alone(() => Promise.resolve());
  stopHelpers();
  send({ type: "stopped" });
  self.close();
}

async function stop(): Promise<void> {
  clearInterval(housekeeping);
  await host?.close().catch(report);
  stopHelpers();
  await engine?.close();
  send({ type: "stopped" });
  self.close();
}

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer);
}
