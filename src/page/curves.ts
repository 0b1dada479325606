/** What the charts of the page show of a race. @module */
import { Chart, COLORS, type Columns, type Line } from "./charts.ts";
import type { Standing, Track } from "./race.ts";
import { CurvdClient } from "./trainer.ts";

const ADAM: Line = { label: "Adam", color: COLORS[0] };
const CURVATURE: Line = { label: "curvature", color: COLORS[1] };
/** Points drawn of a line; more are narrower than a pixel. */
const MOST_POINTS = 600;

const chartOf = (id: string, x: string, isLogarithmic: boolean) =>
  new Chart(document.getElementById(id)!, { x, isLogarithmic });
const byStep = chartOf("by-step", "step", true);
const bySecond = chartOf("by-second", "second", true);
const ages = chartOf("ages", "step", false);
const spectra = chartOf("spectra", "quantile", true);

export function drawCurves({ adam, curvature, ages: ageOf }: Standing): void {
  const every = Math.ceil(adam.losses.length / MOST_POINTS);
  const steps = places(adam.losses.length, every).map((at) => at + 1);
  byStep.draw([ADAM, CURVATURE], [steps, smooth(adam, every), smooth(curvature, every)]);
  bySecond.draw([ADAM, CURVATURE], sideBySide(adam, curvature, every));
  ages.draw([CURVATURE], [steps, places(ageOf.length, every).map((at) => ageOf[at])]);
}

/** The spectra that the server tells of a session; nothing is drawn of methods that have none. */
export async function drawSpectra(session: string, key: string): Promise<void> {
  const client = new CurvdClient(location.origin, { key: key || undefined });
  const { layers } = await client.session(session).inspect();
  const found = Object.entries(layers).flatMap(([name, layer], index) =>
    (["A", "G"] as const).flatMap((factor) => {
      const quantiles = quantilesOf(layer, factor);
      const color = COLORS[index % COLORS.length];
      const line = { label: `${name} ${factor}`, color, isDashed: factor === "G" };
      return quantiles ? [{ line, quantiles }] : [];
    })
  );
  if (found.length === 0) return;
  const count = found[0].quantiles.length;
  const shares = Array.from({ length: count }, (_, at) => at / (count - 1));
  // not above 0: rounding, which a logarithm has no place for
  const values = found.map(({ quantiles }) => quantiles.map((value) => value > 0 ? value : null));
  spectra.draw(found.map(({ line }) => line), [shares, ...values]);
}

function quantilesOf(layer: Record<string, unknown>, factor: "A" | "G"): number[] | undefined {
  const spectrum = layer.spectrum as Record<string, { quantiles?: number[] }> | undefined;
  return spectrum?.[factor]?.quantiles;
}

function places(count: number, every: number): number[] {
  return Array.from({ length: Math.ceil(count / every) }, (_, at) => at * every);
}

/** Means of the losses over `every` steps: a batch's own loss jumps. */
function smooth({ losses }: Track, every: number): number[] {
  return places(losses.length, every).map((at) => {
    const some = losses.slice(at, at + every);
    return some.reduce((sum, loss) => sum + loss, 0) / some.length;
  });
}

/** Both lines over one axis of seconds: where one has a point the other has none. */
function sideBySide(left: Track, right: Track, every: number): Columns {
  const points = [left, right].flatMap((track, of) => {
    const losses = smooth(track, every);
    return places(track.losses.length, every).map((at, index) => {
      const last = Math.min(at + every, track.losses.length) - 1;
      return { of, second: track.seconds[last], loss: losses[index] };
    });
  }).sort((a, b) => a.second - b.second);
  const line = (which: number) => points.map(({ of, loss }) => of === which ? loss : null);
  return [points.map(({ second }) => second), line(0), line(1)];
}
