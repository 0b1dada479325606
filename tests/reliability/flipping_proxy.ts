/** A proxy that falsifies: it turns the sign of one element of one answer, and nothing else. @module */

export interface FlippingProxy {
  readonly url: string;
  /** How many answers it has falsified. */
  flipped(): number;
  stop(): Promise<void>;
}

/**
 * Stands before a server.
 *
 * @param nth which safetensors answer is falsified, counted from 0; Infinity for none.
 */
export function startFlippingProxy(server: string, nth: number): FlippingProxy {
  let seen = 0;
  let flipped = 0;
  const proxy = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      const headers = new Headers(request.headers);
      headers.delete("host");
      const init = { method: request.method, headers, body: await request.bytes() };
      const hasBody = request.method !== "GET";
      const answer = await fetch(`${server}${pathname}${search}`, {
        ...init,
        body: hasBody ? init.body : undefined,
      });
      const body = await answer.bytes();
      const isTensors = answer.headers.get("content-type") === "application/vnd.safetensors";
      if (answer.status === 200 && isTensors && seen++ === nth) {
        body[body.length - 1] ^= 0x80; // the sign of the last float32
        flipped++;
      }
      return new Response(body, { status: answer.status, headers: answer.headers });
    },
  );
  return {
    url: `http://127.0.0.1:${proxy.addr.port}`,
    flipped: () => flipped,
    stop: () => proxy.shutdown(),
  };
}
