/**
 * A progress bar on one line of the terminal; where there is no terminal, nothing.
 *
 * @module
 */

const WIDTH = 24;
const REDRAW_MS = 80;

export class Progress {
  #done = 0;
  #drawnAt = -Infinity;
  readonly #begunAt = performance.now();

  constructor(
    private readonly total: number,
    private readonly isTerminal: boolean = Deno.stderr.isTerminal(),
  ) {}

  /** One step more. @param label what is going on. */
  advance(label: string): void {
    this.moveTo(this.#done + 1, label);
  }

  /** So much of the total is done. */
  moveTo(done: number, label: string): void {
    this.#done = done;
    const now = performance.now();
    if (!this.isTerminal || (now - this.#drawnAt < REDRAW_MS && done < this.total)) return;
    this.#drawnAt = now;
    write(`\r\x1b[K${barOf(done / this.total, (now - this.#begunAt) / 1000)} ${label}`);
  }

  /** Clears the line. */
  end(): void {
    if (this.isTerminal) write("\r\x1b[K");
  }
}

/** Such as `━━━━━━━━─── 67 % 0:41 left`. */
export function barOf(done: number, seconds: number): string {
  const filled = Math.round(done * WIDTH);
  const left = Math.round(seconds / done * (1 - done));
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  const percent = String(Math.floor(done * 100)).padStart(3);
  return `${"━".repeat(filled)}${"─".repeat(WIDTH - filled)} ${percent} % ${clock} left`;
}

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
