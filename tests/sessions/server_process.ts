/** A server as a process on a store of its own, that can be killed and started again. */

const ROOT = new URL("../../", import.meta.url);

export interface ServerProcess {
  readonly url: string;
  /** From the start of the process to its listening. */
  readonly readyMs: number;
  kill(signal: Deno.Signal): Promise<void>;
  /** What it wrote to its standard error so far. */
  errors(): string;
  /** What it wrote to its standard output so far: its log. */
  output(): string;
}

export async function startServer(
  data: string,
  env: Record<string, string> = {},
  args = ["run", "--allow-all", "main.ts"],
): Promise<ServerProcess> {
  const begun = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: {
      NO_COLOR: "1",
      XDG_RUNTIME_DIR: "/tmp",
      CURVD_PORT: "0",
      CURVD_ENGINE: "cpu",
      CURVD_DATA: data,
      ...env,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let errors = "";
  const drained = child.stderr.pipeThrough(new TextDecoderStream())
    .pipeTo(new WritableStream({ write: (text) => void (errors += text) })).catch(() => {});
  let printed = "";
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await lines.read();
    if (done) {
      await child.status;
      await drained;
      throw new Error(`The server did not start: ${printed}${errors}`);
    }
    printed += value;
    const [, url] = /listens on (http:\S+), /.exec(printed) ?? [];
    if (url === undefined) continue;
    const readyMs = performance.now() - begun;
    const rest = (async () => {
      for (let read = await lines.read(); !read.done; read = await lines.read()) {
        printed += read.value;
      }
    })().catch(() => {});
    return {
      url,
      readyMs,
      errors: () => errors,
      output: () => printed,
      async kill(signal) {
        child.kill(signal);
        await child.status;
        await Promise.all([drained, rest]);
      },
    };
  }
}
