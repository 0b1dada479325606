/**
 * Asks peer.py, a process that stays, so that ours and theirs can take turns on the same machine.
 *
 * @module
 */
import { TextLineStream } from "./lines.ts";

export type PeerName = "scipy" | "torch";
export type PeerOperation = "eigh" | "inverse" | "matmul";

export interface Question {
  readonly op: PeerOperation;
  readonly n: number;
  readonly batch: number;
  readonly repeats: number;
}

export interface PeerTimes {
  readonly ms: number[];
  readonly residual: number | null;
}

export class Peer {
  private constructor(
    readonly name: PeerName,
    readonly version: string,
    private readonly process: Deno.ChildProcess,
    private readonly questions: WritableStreamDefaultWriter<Uint8Array>,
    private readonly answers: ReadableStreamDefaultReader<string>,
  ) {}

  /** @returns null where Python lacks the library. */
  static async start(
    name: PeerName,
    { python, script, threads, device = "cpu" }: {
      python: string;
      script: string;
      threads: number;
      device?: "cpu" | "cuda";
    },
  ): Promise<Peer | null> {
    const process = new Deno.Command(python, {
      args: [script, name, "--threads", String(threads), "--device", device],
      env: { OPENBLAS_NUM_THREADS: String(threads), OMP_NUM_THREADS: String(threads) },
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
    return new Peer(name, version, process, process.stdin.getWriter(), answers);
  }

  async ask(question: Question): Promise<PeerTimes> {
    await this.questions.write(new TextEncoder().encode(`${JSON.stringify(question)}\n`));
    const { value } = await this.answers.read();
    if (value === undefined) throw new Error(`${this.name} ended at ${JSON.stringify(question)}`);
    return JSON.parse(value) as PeerTimes;
  }

  async close(): Promise<void> {
    await this.questions.close();
    await this.answers.cancel();
    await this.process.status;
  }
}
