/**
 * Asks peer.py.
 *
 * @module
 */
import { LineProcess } from "./lines.ts";

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
  private constructor(readonly name: PeerName, private readonly process: LineProcess) {}

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
    const process = await LineProcess.start(
      python,
      [script, name, "--threads", String(threads), "--device", device],
      { OPENBLAS_NUM_THREADS: String(threads), OMP_NUM_THREADS: String(threads) },
    );
    return process && new Peer(name, process);
  }

  get version(): string {
    return this.process.version;
  }

  async ask(question: Question): Promise<PeerTimes> {
    return await this.process.ask(question) as PeerTimes;
  }

  close(): Promise<void> {
    return this.process.close();
  }
}
