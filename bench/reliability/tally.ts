/** What happened in a run, counted: answers by route and status, faults by kind, and what was wrong. @module */

/** Most wrong things that are told one by one. */
const MOST_TOLD = 20;

export class Tally {
  readonly answers = new Map<string, number>();
  readonly faults = new Map<string, number>();
  readonly complaints: string[] = [];
  checked = 0;
  wrongs = 0;

  answered(method: string, path: string, status: number): void {
    add(this.answers, `${method} ${routeOf(path)} ${status}`);
  }

  fault(kind: string): void {
    add(this.faults, kind);
  }

  /** An answer was held against what it must be. */
  check(complaint: string | undefined): void {
    this.checked++;
    if (complaint !== undefined) this.wrong(complaint);
  }

  wrong(complaint: string): void {
    this.wrongs++;
    if (this.complaints.length < MOST_TOLD) this.complaints.push(complaint);
  }

  /** How many answers had one of these statuses. */
  withStatus(holds: (status: number) => boolean): number {
    return [...this.answers].filter(([key]) => holds(Number(key.split(" ").at(-1))))
      .reduce((sum, [, count]) => sum + count, 0);
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** The pattern of a path, as the server's own counters have it. */
export function routeOf(path: string): string {
  return path.replace(/\?.*$/, "").replace(/(\/v1\/sessions)\/[^/]+/, "$1/:id")
    .replace(/(\/v2\/models)\/[^/]+/, "$1/:model");
}
