/**
 * The log: events with facts, as lines of JSON or of text. Free to all layers.
 *
 * An event is named by its message and told by its facts: ids, sizes, times, codes. Never by a value that a client
 * sent, a key, or a query string. Until {@linkcode configureLog} is called in a thread, nothing is written there.
 *
 * @module
 */
import {
  configureSync,
  getConsoleSink,
  getJsonLinesFormatter,
  getLogger,
  type LogRecord,
  type Sink,
} from "@logtape/logtape";
import type { LogSettings } from "./config.ts";
import { CurvdError } from "./errors.ts";

export type { LogSettings };

/** `log.info("message", { fact: value })`; an `Error` among the facts is written with its stack. */
export const log = getLogger("curvd");

/**
 * Says where this thread's events go: to the console, errors to its standard error.
 *
 * @param sink another place, as a test wants.
 */
export function configureLog({ format, level }: LogSettings, sink?: Sink): void {
  const isText = format === "text" || (format === "auto" && Deno.stdout.isTerminal());
  const formatter = isText
    ? textLine
    : getJsonLinesFormatter({ message: "rendered", properties: "flatten" });
  configureSync({
    reset: true,
    sinks: { out: sink ?? getConsoleSink({ formatter }) },
    loggers: [
      { category: "curvd", lowestLevel: level, sinks: ["out"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["out"] },
    ],
  });
}

/**
 * What may be told of an error: all of a bug; of a failure with a code that alone, as its words can quote a request's
 * values.
 */
export function faultOf(error: unknown): Record<string, unknown> {
  return error instanceof CurvdError && error.code !== "internal"
    ? { problem: error.code }
    : { error };
}

/** `14:03:59.120 warning message fact=value`; what is of level info needs not say so. */
export function textLine({ timestamp, level, message, properties }: LogRecord): string {
  const time = new Date(timestamp).toISOString().slice(11, 23);
  const facts = Object.entries(properties).filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${factText(value)}`);
  return `${time} ${level === "info" ? "" : `${level} `}${message.join("")}${facts.join("")}`;
}

function factText(value: unknown): string {
  if (value instanceof Error) return value.stack ?? String(value);
  return typeof value === "string" && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
}
