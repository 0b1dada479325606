/** The README's web pages train in a real browser, from another origin than the server's. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { startServer } from "@/training/mod.ts";
import { CHROMIUM, openChromium } from "../support/chromium.ts";

/** The address in the examples; only this is replaced. */
const PRINTED_URL = "http://127.0.0.1:5322";

const readme = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
const pages = [...readme.matchAll(/^```html\n(.*?)^```$/gms)].map(([, source]) => source);
equal(pages.length, 1);
if (CHROMIUM === undefined) console.warn("NOT TESTED: the README's pages; there is no Chromium");

for (const [index, source] of pages.entries()) {
  Deno.test({
    name: `example page ${index + 1} trains, and its loss falls to a tenth`,
    ignore: CHROMIUM === undefined,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const html = { headers: { "content-type": "text/html; charset=utf-8" } };
      let page = "";
      const host = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        () => new Response(page, html),
      );
      const origin = `http://localhost:${host.addr.port}`;
      const server = await startServer({ CURVD_ORIGINS: origin });
      page = source.replaceAll(PRINTED_URL, server.url);
      const browser = await openChromium();
      try {
        const tab = await browser.newPage();
        tab.setDefaultTimeout(60_000);
        const faults: string[] = [];
        tab.on("pageerror", (error) => faults.push(error.message));
        await tab.goto(origin);
        const first = await lossOf(() => tab.textContent("#loss"), (loss) => loss > 0);
        const last = await lossOf(() => tab.textContent("#loss"), (loss) => loss < first / 10);
        ok(last > 0, `loss ${last}`);
        deepEqual(faults, []);
      } finally {
        await browser.close();
        await server.stop();
        await host.shutdown();
      }
    },
  });
}

/** Waits until what is shown is a number that will do. */
async function lossOf(
  read: () => Promise<string | null>,
  will: (loss: number) => boolean,
): Promise<number> {
  const until = performance.now() + 60_000;
  let shown: string | null = null;
  while (performance.now() < until) {
    shown = await read();
    if (will(Number(shown))) return Number(shown);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`It still shows ${shown}`);
}
