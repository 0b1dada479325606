/** The page at /: a form, a race, its curves. @module */
import { type Backend, findBackends, useBackend } from "./backends.ts";
import { drawCurves, drawSpectra } from "./curves.ts";
import { loadDigits } from "./digits.ts";
import { type NetName, NETS } from "./nets.ts";
import { race, type RaceSettings, type Standing } from "./race.ts";

/** Charts are drawn so often; more is not seen. */
const REDRAW_MS = 150;

const form = element("settings") as HTMLFormElement;
const button = element("start") as HTMLButtonElement;
let running: AbortController | null = null;

showBackends(await findBackends());
fillIn();
say("Press Train.");
field("model").addEventListener("change", fillIn);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) running.abort();
  else void start();
});

async function start(): Promise<void> {
  running = new AbortController();
  button.textContent = "Stop";
  try {
    const settings = settingsOf();
    say("Loading the digits …");
    await useBackend(field("backend").value as Backend["name"]);
    const digits = await loadDigits();
    for (const id of ["facts", "charts"]) element(id).hidden = false;
    say("Training.");
    let drawnAt = -Infinity, version = 0;
    await race(settings, digits, async (standing) => {
      showFacts(standing);
      if (performance.now() - drawnAt < REDRAW_MS) return await nextTurn();
      drawnAt = performance.now();
      drawCurves(standing);
      if (standing.version > version && standing.session) {
        version = standing.version;
        await drawSpectra(standing.session, settings.key); // before the race may end the session
      }
      await nextTurn();
    }, running.signal);
    say("Stopped.");
  } catch (error) {
    say(`Stopped: ${error instanceof Error ? error.message : error}`);
  } finally {
    running = null;
    button.textContent = "Train";
  }
}

function settingsOf(): RaceSettings {
  return {
    model: field("model").value as NetName,
    method: field("method").value as RaceSettings["method"],
    rate: Number(field("rate").value),
    damping: Number(field("damping").value),
    adamRate: Number(field("adamRate").value),
    batchSize: Number(field("batchSize").value),
    key: field("key").value,
  };
}

/** The usual numbers of the chosen net. */
function fillIn(): void {
  const { usual } = NETS[field("model").value as NetName];
  for (const [name, value] of Object.entries(usual)) field(name).value = String(value);
}

function showBackends(backends: readonly Backend[]): void {
  field("backend").append(...backends.map(({ name, label }) => new Option(label, name)));
}

function showFacts({ adam, curvature, ages, version }: Standing): void {
  const steps = adam.losses.length;
  const show = (id: string, text: string) => element(id).textContent = text;
  show("steps", String(steps));
  show("adam-loss", adam.losses.at(-1)!.toFixed(4));
  show("curvature-loss", curvature.losses.at(-1)!.toFixed(4));
  show("adam-ms", (1000 * adam.seconds.at(-1)! / steps).toFixed(0));
  show("curvature-ms", (1000 * curvature.seconds.at(-1)! / steps).toFixed(0));
  show("age", `${ages.at(-1)} steps`);
  show("version", String(version));
}

function say(text: string): void {
  element("status").textContent = text;
}

/** Lets the browser draw, also in a tab that is not looked at, where no frame ever comes. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function field(name: string): HTMLInputElement | HTMLSelectElement {
  return form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;
}

function element(id: string): HTMLElement {
  return document.getElementById(id)!;
}
