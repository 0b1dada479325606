/**
 * A process that answers a line with a line, and stays, so that what it measures and what we do can take turns.
 *
 * @module
 */

/** Cuts text into lines. */
export class TextLineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
    });
  }
}

export class LineProcess {
  private constructor(
    /** What it said of itself at first. */
    readonly version: string,
    private readonly process: Deno.ChildProcess,
    private readonly questions: WritableStreamDefaultWriter<Uint8Array>,
    private readonly answers: ReadableStreamDefaultReader<string>,
  ) {}

  /** @returns null where it ends before it says `{"version": …}`: Python lacks a library, say. */
  static async start(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<LineProcess | null> {
    const process = new Deno.Command(command, {
      args: [...args],
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const answers = process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
    const { value } = await answers.read();
    if (value === undefined) {
      await process.stdin.close();
      await process.status;
      return null;
    }
    const { version } = JSON.parse(value) as { version: string };
    return new LineProcess(version, process, process.stdin.getWriter(), answers);
  }

  /** @throws Error where it ends instead of answering. */
  async ask(question: unknown): Promise<unknown> {
    await this.questions.write(new TextEncoder().encode(`${JSON.stringify(question)}\n`));
    const { value } = await this.answers.read();
    if (value === undefined) throw new Error(`It ended at ${JSON.stringify(question)}`);
    return JSON.parse(value);
  }

  async close(): Promise<void> {
    await this.questions.close();
    await this.answers.cancel();
    await this.process.status;
  }
}
