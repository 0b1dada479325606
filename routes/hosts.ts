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

/**
 * @param names the server's own beside IP addresses and `localhost`, in lower case.
 */
export function refuseForeignHosts(names: readonly string[]) {
  const own = new Set(["localhost", ...names]);
  return createMiddleware(async function checkHost(c, next) {
    const { hostname } = new URL(c.req.url); // of the target, where it is a whole URL
    const header = c.req.header("host");
    const asked = [hostname, ...(header === undefined ? [] : [nameIn(header)])];
    const foreign = asked.find((name) => !own.has(name) && !ADDRESS.test(name));
    if (foreign !== undefined) {
      throw new CurvdError("misdirected", `"${foreign}" is not a name of this server`, {
        value: foreign,
        suggestion: "if it is one, list it in CURVD_NAMES",
      });
    }
    await next();
  });
}

/** The host name of a `Host` header, as URL writes it. */
function nameIn(header: string): string {
  return URL.canParse(`http://${header}`) ? new URL(`http://${header}`).hostname : header;
}
