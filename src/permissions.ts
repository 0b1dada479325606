/**
 * What the server may do, as flags of `deno run`: no more than its settings need.
 *
 * `deno task serve` starts this file first, and the server with what it prints. A setting that asks for another folder,
 * address or file thus moves the permission with it. Not narrowed is FFI: whoever may call one library of the system can
 * reach them all, so that it is given whole or (`CURVD_BLAS=off`) not at all. Each Worker is given only its part where it
 * is started: computing FFI, the store its folder, decoding nothing.
 *
 * @module
 */
import { type Config, ConfigError, readConfig } from "./config.ts";

/** The variables that are read: the settings, and what config.ts says of the others. */
export const ENVIRONMENT = "--allow-env=CURVD_*,XDG_RUNTIME_DIR,npm_command";

/**
 * The flags, one an element.
 *
 * - net: the one address and port that is listened on. At port 0 no connection can be made from here; at another only to
 *   the server itself.
 * - read: the sources, as Workers are loaded from there; the page's scripts; the store; the keys.
 * - write: the store.
 */
export function permissionFlags({ host, port, keys, data, blas, isUnderNpx }: Config): string[] {
  const stored = data === ":memory:" ? [] : [data];
  const read = ["src", "dist/page", ...stored, ...(keys === null ? [] : [keys])];
  const needsFfi = blas !== "off" || isUnderNpx; // under npx the C library is asked whose child this is
  return [
    ENVIRONMENT,
    `--allow-net=${host.includes(":") ? `[${host}]` : host}:${port}`,
    `--allow-read=${read.join(",")}`,
    ...(stored.length > 0 ? [`--allow-write=${stored}`] : []),
    ...(needsFfi ? ["--allow-ffi"] : []),
  ];
}

/**
 * Whether the server has what its settings need.
 *
 * @throws ConfigError with the command that would start it.
 */
export function expectPermissions(config: Config): void {
  const { host, port, data, keys } = config;
  const folder = data === ":memory:" ? [] : [data];
  const needed: Deno.PermissionDescriptor[] = [
    { name: "net", host: `${host.includes(":") ? `[${host}]` : host}:${port}` },
    ...folder.map((path) => ({ name: "write" as const, path })),
    ...[...folder, ...(keys === null ? [] : [keys])].map((path) => ({
      name: "read" as const,
      path,
    })),
  ];
  const missing = needed.filter((each) => Deno.permissions.querySync(each).state !== "granted");
  if (missing.length === 0) return;
  const command = ["deno", "run", "--no-prompt", ...permissionFlags(config), "main.ts"];
  const list = missing.map((each) => JSON.stringify(Object.values(each).join(" "))).join(", ");
  throw new ConfigError(
    `these permissions are missing: ${list}. Start it by\n  ${command.map(quoted).join(" ")}`,
  );
}

function quoted(word: string): string {
  return /^[\w\-=.,:/[\]]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The flags that can be words of a task, where a blank parts them; the server asks for those left out. */
function wordsOf(flags: readonly string[]): string {
  return flags.filter((flag) => !/\s/.test(flag)).join(" ");
}

if (import.meta.main) {
  try {
    console.log(wordsOf(permissionFlags(readConfig())));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.log(ENVIRONMENT); // enough for the server to find the same fault, and to name it
  }
}
