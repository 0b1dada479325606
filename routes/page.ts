/**
 * `GET /` and `/page/*`: the page that trains in the browser. Its scripts are those that `deno task bundle` made.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { compress } from "hono/compress";
import { etag } from "hono/etag";
import plotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import { CurvdError } from "@/errors.ts";
import { testFiles } from "@/mnist/mod.ts";
import html from "./page/index.html" with { type: "text" };
import style from "./page/style.css" with { type: "text" };

const SCRIPTS = new URL("../dist/page/", import.meta.url);
/** Digits are as good to compress as text: most of their bytes are 0. */
const DIGITS = "application/vnd.idx";
/** What a browser keeps it asks for again: another server, or the next bundle, has the same names. */
const CACHE = "no-cache";

export function answerHome(c: Context): Response | Promise<Response> {
  return c.html(html);
}

export function pageRoutes(): Hono {
  return new Hono()
    .use(etag())
    .use(compress({ contentTypeFilter: /^(text\/|application\/vnd\.idx)/ }))
    .get("/style.css", () => answer(`${plotStyle}\n${style}`, "text/css; charset=utf-8"))
    .get("/images.idx", async () => answer((await testFiles()).images, DIGITS))
    .get("/labels.idx", async () => answer((await testFiles()).labels, DIGITS))
    .get("/:name{[\\w-]+\\.js}", (c) => answerScript(c.req.param("name")));
}

async function answerScript(name: string): Promise<Response> {
  try {
    return answer(await Deno.readFile(new URL(name, SCRIPTS)), "text/javascript; charset=utf-8");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CurvdError("not-found", `There is no script ${name}`, {
      suggestion: "deno task bundle",
    });
  }
}

function answer(body: string | Uint8Array<ArrayBuffer>, type: string): Response {
  return new Response(body, { headers: { "content-type": type, "cache-control": CACHE } });
}
