/**
 * Requests for another host are refused with 421.
 *
 * A page of a foreign name that resolves to this machine (DNS rebinding) counts as of the same origin in its browser, and
 * would be let read what only local programs may. Its requests carry its name: only IP addresses, `localhost` and the
 * server's own names are served.
 *
 * @module
 */
import { createMiddleware } from "hono/factory";
import { CurvdError } from "@/errors.ts";

/** `127.0.0.1` and `[::1]`; URL has made every spelling of an IPv4 address this one. */
const ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/;

/** As many spellings of a host as are kept, so that a client's own is parsed once. */
const MOST_KNOWN = 256;

/**
 * @param names the server's own beside IP addresses and `localhost`.
 */
export function refuseForeignHosts(names: readonly string[]) {
  const own = new Set(["localhost", ...names.map((name) => name.toLowerCase())]);
  const known = new Set<string>();

  function expectOwn(host: string): void {
    if (known.has(host)) return;
    const name = nameIn(host);
    if (!own.has(name) && !ADDRESS.test(name)) {
      throw new CurvdError("misdirected", `"${name}" is not a name of this server`, {
        value: name,
        suggestion: "if it is one, list it in CURVD_NAMES",
      });
    }
    if (known.size < MOST_KNOWN) known.add(host);
  }

  return createMiddleware(async function checkHost(c, next) {
    const [, , target] = c.req.url.split("/", 3); // of the target, where that is a whole URL
    const header = c.req.header("host") ?? target;
    expectOwn(header);
    if (target !== header) expectOwn(target);
    await next();
  });
}

/** The name in `name:port`, as URL writes it. */
function nameIn(host: string): string {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : host;
}
