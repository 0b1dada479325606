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
  type TextFormatter,
} from "@logtape/logtape";
import type { LogSettings } from "./config.ts";
import { CurvdError } from "./errors.ts";

export type { LogSettings };

/** `log.info("message", { fact: value })`; an `Error` among the facts is written with its stack. */
export const log = getLogger("curvd");

/** How long a line that tells of nothing unusual may wait for others, ms. */
const BURST_MS = 100;

/**
 * Says where this thread's events go: to the console, errors to its standard error.
 *
 * @param sink another place: {@linkcode inBursts}, or what a test wants.
 */
export function configureLog(settings: LogSettings, sink?: Sink): void {
  const { level } = settings;
  configureSync({
    reset: true,
    sinks: { out: sink ?? getConsoleSink({ formatter: formatterOf(settings) }) },
    loggers: [
      { category: "curvd", lowestLevel: level, sinks: ["out"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["out"] },
    ],
  });
}

/**
 * The console, told many lines at once: under load a write a line costs as much as the refusal it tells of, here and where it
 * is read. What warns is written as it comes, after what came before it, and all is when the thread ends,
 * also by a bug.
 */
export function inBursts(settings: LogSettings): Sink {
  const formatter = formatterOf(settings);
  const written = getConsoleSink({ formatter });
  const lines: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (lines.length > 0) console.info(lines.splice(0).join("\n"));
  };
  for (const end of ["unload", "error", "unhandledrejection"]) {
    globalThis.addEventListener(end, flush);
  }
  return (event) => {
    if (event.level === "info" || event.level === "debug") {
      lines.push(formatter(event).trimEnd());
      timer ??= setTimeout(flush, BURST_MS);
    } else {
      flush();
      written(event);
    }
  };
}

function formatterOf({ format }: LogSettings): TextFormatter {
  const isText = format === "text" || (format === "auto" && Deno.stdout.isTerminal());
  return isText ? textLine : getJsonLinesFormatter({ message: "rendered", properties: "flatten" });
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
