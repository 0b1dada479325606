/**
 * When to stop: SIGTERM, Ctrl-C, or the end of the npx that started this process.
 *
 * npm starts a package's command under `sh -c`. Where sh is dash it stays in between, and a SIGTERM
 * to npx ends npm and sh but reaches neither `deno task` nor the server, which would live on as
 * orphans. So under npx the server watches its parent (`deno task`) and its parent's parent.
 *
 * @module
 */
import { openAncestry } from "./ancestry.ts";
import { exit } from "./exit.ts";

const POLL_MS = 250;
/** `deno task` forwards the Ctrl-C that the terminal has sent to all: the same one, twice. */
const SAME_SIGNAL_MS = 1000;

export interface Shutdown {
  /** Resolves with the reason, once. */
  readonly requested: Promise<string>;
  isRequested(): boolean;
}

/** Starts watching. A second signal, a second or more after the first, ends the process at once. */
export function watchForShutdown(isUnderNpx: boolean): Shutdown {
  const requested = Promise.withResolvers<string>();
  let requestedAt = Infinity;

  const request = (reason: string) => {
    if (performance.now() - requestedAt > SAME_SIGNAL_MS) exit(130);
    requestedAt = Math.min(requestedAt, performance.now());
    requested.resolve(reason);
  };
  Deno.addSignalListener("SIGINT", () => request("SIGINT"));
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => request("SIGTERM"));
  if (isUnderNpx) watchAncestors(() => request("the end of npx"));

  return { requested: requested.promise, isRequested: () => requestedAt < Infinity };
}

/** Calls back once, when the parent or its parent is another than at the start. */
function watchAncestors(onChange: () => void): void {
  const ancestry = openAncestry();
  const parent = Deno.ppid;
  const grandparent = ancestry.parentOf(parent);
  const poll = setInterval(() => {
    if (Deno.ppid === parent && ancestry.parentOf(parent) === grandparent) return;
    clearInterval(poll);
    ancestry.close();
    onChange();
  }, POLL_MS);
  Deno.unrefTimer(poll);
}
