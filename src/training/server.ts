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
 * @throws Error where it does not start; it has said why on its standard error.
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
  const url = await addressIn(lines);
  if (url !== undefined) {
    lines.pipeTo(new WritableStream()).catch(() => {}); // read on, or the pipe fills and the server waits
    return { url, stop };
  }
  await stop();
  throw new Error("The server did not start: its standard error says why");
}

/** The address that a server prints when it listens; the stream can be read on. Undefined where it ends before. */
async function addressIn(lines: ReadableStream<string>): Promise<string | undefined> {
  let printed = "";
  for await (const text of lines.values({ preventCancel: true })) {
    printed += text;
    const [, url] = /listens on (http:\S+),/.exec(printed) ?? [];
    if (url !== undefined) return url; // which lets go of the stream
  }
}
