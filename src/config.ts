/**
 * The environment as one frozen {@linkcode Config}. Nothing else touches `Deno.env`.
 *
 * @module
 */

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly engine: "auto" | "webgpu" | "cpu";
  /** `auto`, `off`, or a library's path. */
  readonly blas: string;
  readonly maxBodyBytes: number;
  readonly maxCheckpointBytes: number;
  /** Folder of the store; `:memory:`: sessions end with the process. */
  readonly data: string;
  /** What sessions may take of the device, all together. */
  readonly memoryBytes: number;
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
  open: {
    name: "CURVD_OPEN",
    fallback: "0",
    meaning: "1 allows a host that other machines can reach, though there are no keys",
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
} satisfies Record<string, Setting>;

const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|::1)$/;

/**
 * Reads the settings.
 *
 * @throws ConfigError naming the first variable whose value cannot be used.
 */
export function readConfig(lookup: Lookup = Deno.env.get): Config {
  const textOf = ({ name, fallback }: Setting) => lookup(name) || fallback;

  const host = textOf(SETTINGS.host).replace(/^\[(.*)\]$/, "$1");
  if (!LOOPBACK.test(host) && oneOf(SETTINGS.open, textOf, ["0", "1"]) === "0") {
    throw new ConfigError(
      `CURVD_HOST=${host} can be reached by other machines, which nothing would stop: ` +
        "set CURVD_OPEN=1 to serve all of them, or listen on 127.0.0.1",
    );
  }
  return Object.freeze({
    host,
    port: integer(SETTINGS.port, textOf, 0, 65_535),
    engine: oneOf(SETTINGS.engine, textOf, ["auto", "webgpu", "cpu"]),
    blas: textOf(SETTINGS.blas),
    maxBodyBytes: integer(SETTINGS.maxBodyMb, textOf, 1, 4096) * 2 ** 20,
    maxCheckpointBytes: integer(SETTINGS.maxCheckpointMb, textOf, 1, 4096) * 2 ** 20,
    data: textOf(SETTINGS.data),
    memoryBytes: integer(SETTINGS.memoryMb, textOf, 1, 1_048_576) * 2 ** 20,
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

/** What `--help` prints. */
export function helpText(): string {
  const settings = Object.values(SETTINGS).map(({ name, fallback, meaning }) =>
    `  ${name.padEnd(18)} ${meaning} (${fallback})`
  );
  return [
    "curvd: a curvature server",
    "",
    "  deno task serve",
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
