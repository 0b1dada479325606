/**
 * A server of this tree in a process of its own, as a client meets it.
 *
 * @module
 */

export interface RunningServer {
  readonly url: string;
  /** What its engine says of itself. */
  readonly device: Record<string, unknown>;
  close(): Promise<void>;
}

/**
 * Starts `main.ts` on a free port and waits until it listens.
 *
 * @param data folder of its store.
 * @param preload a module that is loaded before it, beside this one.
 */
export async function startServer(
  engine: "cpu" | "webgpu",
  data = ":memory:",
  preload?: string,
): Promise<RunningServer> {
  const process = new Deno.Command(Deno.execPath(), {
    args: preload
      ? ["run", "--quiet", "--allow-all", `--preload=bench/serving/${preload}`, "main.ts"]
      : ["task", "--quiet", "serve"],
    cwd: new URL("../../", import.meta.url),
    env: { CURVD_ENGINE: engine, CURVD_PORT: "0", CURVD_DATA: data, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  for (;;) {
    const { value, done } = await lines.read();
    if (done) throw new Error(`The server ended before it listened: ${said}`);
    const url = /listens on (http:\/\/\S+?),/.exec(said += value)?.[1];
    if (!url) continue;
    drain(lines); // a full pipe would hold the server up at its next line of log
    const device = await (await fetch(`${url}/v1/device`)).json();
    return {
      url,
      device,
      async close() {
        process.kill("SIGTERM");
        const again = setTimeout(() => process.kill("SIGTERM"), 3000); // it would finish what runs
        await process.status;
        clearTimeout(again);
      },
    };
  }
}

async function drain(lines: ReadableStreamDefaultReader<string>): Promise<void> {
  while (!(await lines.read()).done);
}
