/**
 * The fault mix: checked work by many clients while faults happen at random, and what is left after.
 *
 * @module
 */
import { uniform } from "../../tests/support/matrices.ts";
import { checkedCall } from "./checked_call.ts";
import { CheckedSession } from "./checked_session.ts";
import { counterComplaints } from "./counters.ts";
import { FAULTS } from "./faults.ts";
import { type Observations, observe } from "./observer.ts";
import { ask } from "./request.ts";
import type { ServerProcess } from "./server_process.ts";
import { Tally } from "./tally.ts";

export interface MixOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Clients that make stateless calls, and clients that step sessions. */
  readonly callers: number;
  readonly trainers: number;
  /** Mean milliseconds between faults of a kind: of those that cost the compute Worker, and others. */
  readonly workerFaultMs: number;
  readonly clientFaultMs: number;
  /** Where the work is sent, if not to the server itself. */
  readonly url?: string;
}

export interface MixReport {
  readonly tally: Tally;
  readonly observations: Observations;
}

/** Steps of a session before it is ended and another is opened. */
const STEPS = 40;
const WORKER_FAULTS = ["compute Worker crashes", "device is lost"];

/** Runs the mix on a server that nobody else uses. What is wrong is in the tally. */
export async function runMix(server: ServerProcess, options: MixOptions): Promise<MixReport> {
  const { seconds, seed, callers, trainers, url = server.url } = options;
  const tally = new Tally();
  await Promise.all(Array.from({ length: 20 }, (_, at) => call(url, at, tally))); // warm
  const end = performance.now() + 1000 * seconds;
  const isOver = () => performance.now() >= end || server.hasEnded();
  const observing = observe(server, isOver);
  const attempt = async (what: string, work: () => Promise<void>) => {
    await work().catch((error) => tally.wrong(`${what}: ${error}`));
  };

  const working = [
    ...Array.from({ length: callers }, async (_, client) => {
      for (let at = 0; !isOver(); at++) {
        await attempt("call", () => call(url, seed + 7919 * client + at, tally));
      }
    }),
    ...Array.from({ length: trainers }, async (_, client) => {
      for (let at = 0; !isOver(); at++) {
        const session = new CheckedSession(
          url,
          `trainer-${client}-${at}`,
          seed + client + at,
          tally,
        );
        await attempt("session", async () => {
          await session.open();
          for (let k = 0; k < STEPS && !isOver(); k++) await session.step();
          await session.close();
        });
      }
    }),
    ...Object.entries(FAULTS).map(async ([kind, fault], at) => {
      const random = uniform(seed + at);
      const mean = WORKER_FAULTS.includes(kind) ? options.workerFaultMs : options.clientFaultMs;
      for (let happened = 0;; happened++) {
        // the first within the mean, so that a short run has each; then as a Poisson process
        const pause = happened === 0 ? mean * random() : -mean * Math.log(1 - random());
        const left = Math.max(0, end - performance.now());
        await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)));
        if (isOver()) break;
        tally.fault(kind);
        await attempt(kind, () => fault({ server, tally, random }));
      }
    }),
  ];
  await Promise.all(working);
  const observations = await observing;
  for (const complaint of observations.complaints) tally.wrong(complaint);
  if (url === server.url && !server.hasEnded()) {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const complaint of counterComplaints(metrics, tally)) tally.wrong(complaint);
  }
  return { tally, observations };
}

async function call(url: string, seed: number, tally: Tally): Promise<void> {
  const { asked, check } = checkedCall(seed);
  tally.check(check(await ask(url, asked, tally)));
}
