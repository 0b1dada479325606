/**
 * The server under test: `main.ts` in another process, with a compute Worker that can be killed; its
 * memory and files are read from outside.
 *
 * @module
 */

export type WorkerFault = "crash" | "lose";

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  /** Whether it has ended by itself. */
  hasEnded(): boolean;
  /** Kills its compute Worker, or takes its device away. */
  inject(fault: WorkerFault): Promise<void>;
  /** Resident memory, in bytes. */
  residentBytes(): number;
  openFiles(): number;
  /** Lets it finish, by SIGTERM. @returns its exit code, and what it has printed. */
  stop(): Promise<{ code: number; printed: string }>;
}

/** Starts it on a free port, with a store of its own. */
export async function startServerProcess(
  settings: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const data = await Deno.makeTempDir({ prefix: "curvd-faults-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", `--preload=${pathOf("./preload.ts")}`, pathOf("../../main.ts")],
    env: {
      CURVD_PORT: "0",
      CURVD_DATA: data,
      CURVD_ENGINE: "cpu",
      CURVD_LOG: "json",
      NO_COLOR: "1",
      ...settings,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let printed = "";
  let ended = false;
  child.status.then(() => ended = true);
  const url = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      printed += text;
      const [, found] = /listens on (http:[^\s,]+)/.exec(printed) ?? [];
      if (found !== undefined) url.resolve(found);
    }
    url.reject(new Error(`The server did not start: ${printed}`));
  };
  const errors = Promise.all([read(child.stdout), read(child.stderr)]);
  const orders = child.stdin.getWriter();
  return {
    url: await url.promise,
    pid: child.pid,
    hasEnded: () => ended,
    inject: (fault) => orders.write(new TextEncoder().encode(`${fault}\n`)),
    residentBytes: () => residentBytesOf(child.pid),
    openFiles: () => [...Deno.readDirSync(`/proc/${child.pid}/fd`)].length,
    async stop() {
      if (!ended) child.kill("SIGTERM");
      const { code } = await child.status;
      await errors;
      await orders.abort();
      await Deno.remove(data, { recursive: true });
      return { code, printed };
    },
  };
}

/** What a server has printed of bugs other than those injected, each once. */
export function bugsIn(printed: string): string[] {
  const isBug = (line: string) =>
    line.startsWith("{") ? line.includes('"level":"ERROR"') : /Uncaught|panicked/.test(line);
  const stackOf = (line: string) => /"stack":"(.*?)(?<!\\)"/.exec(line)?.[1] ?? line;
  const lines = printed.split("\n").filter((line) => isBug(line) && !line.includes("injected"));
  return [...new Set(lines.map(stackOf))];
}

function pathOf(relative: string): string {
  return new URL(relative, import.meta.url).pathname;
}

function residentBytesOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`)) ?? [];
  return Number(kilobytes) * 1024;
}
