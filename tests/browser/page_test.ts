/** The page at / in a real browser: it loads, trains, draws, and asks nobody else. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import { startServer } from "@/training/mod.ts";
import { CHROMIUM, openChromium } from "../support/chromium.ts";

if (CHROMIUM === undefined) console.warn("NOT TESTED: the page at /; there is no Chromium");

const PHONE = { width: 360, height: 740 };
const STEPS = 20;
const TIMEOUT_MS = 60_000;

interface Visit {
  readonly page: Page;
  readonly url: string;
  /** Errors on the console, exceptions, requests to other hosts. */
  readonly faults: string[];
}

/** Opens the page of a server of this tree on a phone's screen. */
async function visit(browser: Browser, url: string): Promise<Visit> {
  const page = await browser.newPage({ viewport: PHONE });
  page.setDefaultTimeout(TIMEOUT_MS);
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== url && protocol !== "data:") faults.push(`asks ${request.url()}`);
  });
  await page.goto(url);
  await page.waitForFunction(() =>
    document.getElementById("status")!.textContent === "Press Train."
  );
  return { page, url, faults };
}

/** Presses Train and waits for so many steps. */
async function train(page: Page, steps: number): Promise<void> {
  await page.click("#start");
  await page.waitForFunction(
    (steps) =>
      Number(document.getElementById("steps")!.textContent) >= steps ||
      document.getElementById("status")!.textContent!.startsWith("Stopped"),
    steps,
  );
}

/** Pixels of the charts that have a line's colour, by the element that the chart stands in. */
function inked(page: Page): Promise<Record<string, number>> {
  return page.evaluate(() =>
    Object.fromEntries(
      ["by-step", "by-second", "ages", "spectra"].map((id) => {
        const canvas = document.querySelector<HTMLCanvasElement>(`#${id} canvas`);
        if (!canvas || canvas.width === 0) return [id, 0];
        const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let at = 0; at < data.length; at += 4) {
          const [r, g, b, alpha] = data.subarray(at, at + 4);
          // axes, grid and text are grey; lines are not
          if (alpha > 128 && Math.max(r, g, b) - Math.min(r, g, b) > 80) count++;
        }
        return [id, count];
      }),
    )
  );
}

function text(page: Page, id: string): Promise<string> {
  return page.locator(`#${id}`).innerText();
}

function fitsItsScreen(page: Page): Promise<boolean> {
  return page.evaluate(() =>
    document.documentElement.scrollWidth <= document.documentElement.clientWidth
  );
}

Deno.test({
  name: "the page trains two nets, draws their curves, and asks only its own server",
  ignore: CHROMIUM === undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const server = await startServer();
    const browser = await openChromium();
    try {
      const { page, faults } = await visit(browser, server.url);

      await t.step("it fits a phone before it trains", async () => {
        ok(await fitsItsScreen(page));
      });

      await t.step(`it trains ${STEPS} steps, and both losses fall`, async () => {
        await page.selectOption("[name=batchSize]", "64");
        await train(page, STEPS);
        match(await text(page, "status"), /^Training/);
        for (const id of ["adam-loss", "curvature-loss"]) {
          const loss = Number(await text(page, id));
          ok(loss > 0 && loss < 1.5, `${id} ${loss}, ln 10 = 2.3 at the start`);
        }
        ok(Number(await text(page, "version")) >= 2);
        match(await text(page, "age"), /^\d steps$/);
      });

      await t.step("all four charts are drawn", async () => {
        await page.waitForTimeout(1000); // spectra are asked for beside the training
        for (const [id, count] of Object.entries(await inked(page))) {
          ok(count > 100, `${id} has ${count} coloured pixels`);
        }
        equal(await page.locator("#spectra .u-series").count(), 1 + 2 * 3); // x; A and G of 3 layers
      });

      await t.step("it still fits the phone", async () => ok(await fitsItsScreen(page)));

      await t.step("it stops, and its session ends", async () => {
        await page.click("#start");
        await page.waitForFunction(() =>
          document.getElementById("status")!.textContent === "Stopped."
        );
        const { sessions } = await (await fetch(`${server.url}/v1/sessions`)).json();
        deepEqual(sessions, []);
      });

      await t.step("it says what the server refuses", async () => {
        await page.fill("[name=damping]", "1e-30");
        await page.fill("[name=rate]", "0");
        await page.route("**/v1/sessions", (route) =>
          route.fulfill({
            status: 422,
            contentType: "application/problem+json",
            body: JSON.stringify({
              type: "/problems/invalid-request",
              title: "t",
              status: 422,
              detail: "refused for the test",
            }),
          }));
        await page.click("#start");
        await page.waitForFunction(() =>
          document.getElementById("status")!.textContent!.startsWith("Stopped: ")
        );
        match(await text(page, "status"), /refused for the test/);
        await page.unroute("**/v1/sessions");
        faults.splice(faults.findIndex((fault) => /422/.test(fault)), 1); // Chromium logs every such answer
      });

      await t.step("nothing was wrong on the console, and nobody else was asked", () => {
        deepEqual(faults, []);
      });
    } finally {
      await browser.close();
      await server.stop();
    }
  },
});
