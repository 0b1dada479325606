/**
 * A curvd server for the time of a training run.
 *
 * @module
 */

export interface Server {
  readonly url: string;
  /** Lets it finish and end. */
  stop(): Promise<void>;
}

/**
 * Starts `deno task serve` on a free port and waits until it listens.
 *
 * @param settings further variables of its environment.
 * @throws Error with what the server printed where it does not start.
 */
export async function startServer(settings: Record<string, string> = {}): Promise<Server> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "serve"],
    env: { CURVD_PORT: "0", CURVD_DATA: ":memory:", NO_COLOR: "1", ...settings },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let isStopping = false;
  child.status.then(({ code, signal }) => {
    if (!isStopping) console.error(`The server ended by itself: ${signal ?? `exit code ${code}`}`);
  });
  const stop = async () => {
    isStopping = true;
    try {
      child.kill("SIGTERM");
    } catch { /* it has ended already, as at Ctrl-C, which reaches both */ }
    await child.status;
  };

  const lines = child.stdout.pipeThrough(new TextDecoderStream());
  let printed = "";
  for await (const text of lines.values({ preventCancel: true })) {
    printed += text;
    const [, url] = /listens on (http:\S+),/.exec(printed) ?? [];
    if (url === undefined) continue;
    lines.pipeTo(new WritableStream()).catch(() => {}); // read on, or the pipe fills
    return { url, stop };
  }
  await stop();
  throw new Error(`The server did not start: ${printed}`);
}
