/**
 * A server of this tree in a process of its own, that can be killed, and whose memory can be looked at (Linux).
 *
 * @module
 */

export interface KillableServer {
  readonly url: string;
  end(signal: Deno.Signal): Promise<void>;
  /** Resident memory now. */
  residentBytes(): Promise<number>;
  /** The most since the last look at {@linkcode residentBytes}. */
  peakBytes(): Promise<number>;
}

/** Starts `main.ts` on a free port and waits until it listens. @param data folder of its store. */
export async function startKillable(
  data: string,
  env: Record<string, string> = {},
): Promise<KillableServer> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "main.ts"], // not by the task: a signal would end that alone
    cwd: new URL("../../", import.meta.url),
    env: {
      CURVD_ENGINE: "cpu",
      CURVD_PORT: "0",
      CURVD_DATA: data,
      NO_COLOR: "1",
      XDG_RUNTIME_DIR: "/tmp",
      ...env,
    },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "", url: string | undefined;
  while (url === undefined) {
    const { value, done } = await lines.read();
    if (done) throw new Error(`The server ended before it listened: ${said}`);
    url = /listens on (http:\/\/[^\s,"]+)/.exec(said += value)?.[1];
  }
  const drained = (async () => {
    while (!(await lines.read()).done);
  })();
  const status = (field: string) =>
    Deno.readTextFile(`/proc/${process.pid}/status`).then((text) =>
      1024 * Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)![1])
    );
  return {
    url,
    async end(signal) {
      process.kill(signal);
      await process.status;
      await drained;
    },
    async residentBytes() {
      await Deno.writeTextFile(`/proc/${process.pid}/clear_refs`, "5"); // the peak begins anew
      return await status("VmRSS");
    },
    peakBytes: () => status("VmHWM"),
  };
}
