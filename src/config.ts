/**
 * The environment as one frozen {@linkcode Config}. Nothing else touches `Deno.env`.
 *
 * @module
 */

export const LOG_FORMATS = ["auto", "text", "json"] as const;
export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;

export interface LogSettings {
  /** `auto`: text where standard output is a terminal, else JSON. */
  readonly format: typeof LOG_FORMATS[number];
  /** The least level that is written. */
  readonly level: typeof LOG_LEVELS[number];
}

export interface Config {
  readonly host: string;
  readonly port: number;
  /** File of hashed keys; null where everybody is served. */
  readonly keys: string | null;
  /** Origins of the web pages that may call, beside the server's own. */
  readonly origins: readonly string[];
  /** Names under which the server is reached, beside `localhost` and IP addresses. */
  readonly names: readonly string[];
  readonly engine: "auto" | "webgpu" | "cpu";
  /** `auto`, `off`, or a library's path. */
  readonly blas: string;
  readonly maxBodyBytes: number;
  readonly maxCheckpointBytes: number;
  /** Folder of the store; `:memory:`: sessions end with the process. */
  readonly data: string;
  /** What sessions may take of the device, all together. */
  readonly memoryBytes: number;
  /** How long what was begun may take when the server is told to stop. */
  readonly graceMs: number;
  /** What may be in the server at a time: requests, and the bytes that they take together. */
  readonly queue: { readonly requests: number; readonly bytes: number };
  readonly log: LogSettings;
  /** Whether npx started this process: then its parents' end is this process's too. */
  readonly isUnderNpx: boolean;
}

/** A setting that cannot be used; the message names it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Looks a variable up; `Deno.env.get`, or a test's own. */
export type Lookup = (name: string) => string | undefined;

interface Setting {
  readonly name: string;
  readonly fallback: string;
  readonly meaning: string;
}

const SETTINGS = {
  host: { name: "CURVD_HOST", fallback: "127.0.0.1", meaning: "address to listen on" },
  port: { name: "CURVD_PORT", fallback: "5322", meaning: "port to listen on; 0 for any free one" },
  keys: {
    name: "CURVD_KEYS",
    fallback: "",
    meaning: "file of hashed keys, as deno task key makes them; none: everybody is served",
  },
  open: {
    name: "CURVD_OPEN",
    fallback: "0",
    meaning: "1 allows a host that other machines can reach, though there are no keys",
  },
  origins: {
    name: "CURVD_ORIGINS",
    fallback: "",
    meaning: "origins of web pages that may call, with commas between: https://lab.example",
  },
  names: {
    name: "CURVD_NAMES",
    fallback: "",
    meaning: "names it is reached by, with commas between, beside localhost and IP addresses",
  },
  engine: {
    name: "CURVD_ENGINE",
    fallback: "auto",
    meaning: "webgpu, cpu, or auto: webgpu where there is a hardware adapter",
  },
  blas: {
    name: "CURVD_BLAS",
    fallback: "auto",
    meaning: "of the cpu engine: auto, off, or the path of a BLAS library with LAPACK",
  },
  maxBodyMb: {
    name: "CURVD_MAX_BODY_MB",
    fallback: "256",
    meaning: "largest request body, in MiB",
  },
  maxCheckpointMb: {
    name: "CURVD_MAX_CHECKPOINT_MB",
    fallback: "2048",
    meaning: "largest checkpoint that is taken, in MiB",
  },
  data: {
    name: "CURVD_DATA",
    fallback: "./data",
    meaning: "folder in which sessions are kept; :memory: forgets them",
  },
  memoryMb: {
    name: "CURVD_MEMORY_MB",
    fallback: "4096",
    meaning: "memory of the device that sessions may take, in MiB; others wait in the store",
  },
  grace: {
    name: "CURVD_GRACE_SECONDS",
    fallback: "30",
    meaning: "time to finish what was begun when told to stop; then connections are cut",
  },
  queue: {
    name: "CURVD_QUEUE",
    fallback: "256",
    meaning: "requests that may wait or be at work at a time; further ones get 429",
  },
  queueMb: {
    name: "CURVD_QUEUE_MB",
    fallback: "2048",
    meaning: "memory that these may take together, in MiB",
  },
  log: {
    name: "CURVD_LOG",
    fallback: "auto",
    meaning: "form of the log: text, json, or auto: text on a terminal, else json",
  },
  logLevel: {
    name: "CURVD_LOG_LEVEL",
    fallback: "info",
    meaning: "least level that is logged: debug, info, warning or error",
  },
} satisfies Record<string, Setting>;

const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|::1)$/;
/** A name of DNS, in lower case. */
const NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/**
 * Reads the settings.
 *
 * @throws ConfigError naming the first variable whose value cannot be used.
 */
export function readConfig(lookup: Lookup = Deno.env.get): Config {
  const textOf = ({ name, fallback }: Setting) => lookup(name) || fallback;

  const host = textOf(SETTINGS.host).replace(/^\[(.*)\]$/, "$1");
  const keys = path(SETTINGS.keys, textOf) || null;
  const isOpen = oneOf(SETTINGS.open, textOf, ["0", "1"]) === "1";
  if (!LOOPBACK.test(host) && keys === null && !isOpen) {
    throw new ConfigError(
      `CURVD_HOST=${host} can be reached by other machines, which nothing would stop: ` +
        "name a file of keys in CURVD_KEYS, set CURVD_OPEN=1 to serve everybody, " +
        "or listen on 127.0.0.1",
    );
  }
  return Object.freeze({
    host,
    port: integer(SETTINGS.port, textOf, 0, 65_535),
    keys,
    origins: listOf(SETTINGS.origins, textOf, isOrigin, "origins such as https://lab.example"),
    names: listOf(SETTINGS.names, textOf, (name) => NAME.test(name), "names such as lab.example"),
    engine: oneOf(SETTINGS.engine, textOf, ["auto", "webgpu", "cpu"]),
    blas: textOf(SETTINGS.blas),
    maxBodyBytes: integer(SETTINGS.maxBodyMb, textOf, 1, 4096) * 2 ** 20,
    maxCheckpointBytes: integer(SETTINGS.maxCheckpointMb, textOf, 1, 4096) * 2 ** 20,
    data: path(SETTINGS.data, textOf),
    memoryBytes: integer(SETTINGS.memoryMb, textOf, 1, 1_048_576) * 2 ** 20,
    graceMs: integer(SETTINGS.grace, textOf, 0, 86_400) * 1000,
    queue: {
      requests: integer(SETTINGS.queue, textOf, 1, 65_536),
      bytes: integer(SETTINGS.queueMb, textOf, 1, 1_048_576) * 2 ** 20,
    },
    log: {
      format: oneOf(SETTINGS.log, textOf, LOG_FORMATS),
      level: oneOf(SETTINGS.logLevel, textOf, LOG_LEVELS),
    },
    isUnderNpx: lookup("npm_command") === "exec",
  });
}

/**
 * Names a folder for sockets where there is none. Mesa looks there for a compositor, which computing
 * needs not, and prints two lines of error where it cannot look.
 */
export function quietMesa(): void {
  if (Deno.build.os === "linux" && !Deno.env.get("XDG_RUNTIME_DIR")) {
    Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
  }
}

/**
 * Whether the command line asks for help: all that it can do.
 *
 * @throws ConfigError for anything else, as a setting written there would be passed over.
 */
export function asksForHelp(args: readonly string[]): boolean {
  const isHelp = (word: string) => word === "--help" || word === "-h";
  const other = args.find((word) => !isHelp(word));
  if (other === undefined) return args.length > 0;
  throw new ConfigError(
    `"${other}" is not taken: settings are environment variables, which --help lists`,
  );
}

/** What `--help` prints. */
export function helpText(): string {
  const settings = Object.values(SETTINGS).map(({ name, fallback, meaning }) =>
    `  ${name.padEnd(24)} ${meaning} (${fallback || "none"})`
  );
  return [
    "curvd: a curvature server",
    "",
    "  deno task serve",
    "  deno task key <id>       makes a key for the file of CURVD_KEYS",
    "",
    "Settings, all by environment variables:",
    ...settings,
  ].join("\n");
}

type TextOf = (setting: Setting) => string;

function oneOf<T extends string>(setting: Setting, textOf: TextOf, offered: readonly T[]): T {
  const text = textOf(setting);
  const value = offered.find((one) => one === text);
  if (value === undefined) {
    throw new ConfigError(`${setting.name} must be ${offered.join(" or ")}: it is "${text}"`);
  }
  return value;
}

function integer(setting: Setting, textOf: TextOf, least: number, most: number): number {
  const text = textOf(setting);
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most)) {
    throw new ConfigError(
      `${setting.name} must be an integer from ${least} to ${most}: it is "${text}"`,
    );
  }
  return value;
}

/** A path that a permission can be given for: Deno parts lists of them at commas. */
function path(setting: Setting, textOf: TextOf): string {
  const text = textOf(setting);
  if (!text.includes(",")) return text;
  throw new ConfigError(`${setting.name} must be a path without a comma: it is "${text}"`);
}

function listOf(
  setting: Setting,
  textOf: TextOf,
  isOne: (item: string) => boolean,
  what: string,
): readonly string[] {
  const items = textOf(setting).toLowerCase().split(",").map((item) => item.trim())
    .filter((item) => item !== "");
  for (const item of items) {
    if (isOne(item)) continue;
    throw new ConfigError(`${setting.name} must be a list of ${what}: there is "${item}" in it`);
  }
  return items;
}

/** Scheme, host and port as a browser sends them; `*` would let every web page in. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}
