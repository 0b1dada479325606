/** The demo's command line. @module */

export interface Options {
  /** One seed, known rates, two epochs: within a minute. */
  readonly isQuick: boolean;
  /** A running server's address; absent: one is started. */
  readonly server?: string;
  readonly wantsHelp: boolean;
}

export const HELP = `Trains a net on MNIST with SGD, Adam, and K-FAC through a curvd server.

  deno task demo [-- --quick] [-- --server URL]

  --quick       one seed, the best learning rates of the full demo, two epochs: within a minute
  --server URL  use this server; without it one is started for the time of the demo`;

/** @throws RangeError for what is no option. */
export function readOptions(args: readonly string[]): Options {
  let isQuick = false, wantsHelp = false;
  let server: string | undefined;
  const rest = args.filter((arg) => arg !== "--");
  while (rest.length > 0) {
    const option = rest.shift();
    if (option === "--quick") isQuick = true;
    else if (option === "--help" || option === "-h") wantsHelp = true;
    else if (option === "--server" && URL.canParse(rest[0] ?? "")) server = rest.shift();
    else throw new RangeError(`Cannot use option "${option}"; there are --quick and --server URL`);
  }
  return { isQuick, server, wantsHelp };
}
