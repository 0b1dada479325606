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

/** The quantiles that the server tells of a spectrum, by their share. */
const QUANTILES = [
  [0, "min"],
  [0.1, "p10"],
  [0.25, "p25"],
  [0.5, "median"],
  [0.75, "p75"],
  [0.9, "p90"],
  [1, "max"],
] as const;

/** Draws the spectra that the server tells of a session's layers; of some methods there are none. */
export async function drawSpectra(session: string, key: string): Promise<void> {
  const client = new CurvdClient(location.origin, { key: key || undefined });
  const { layers } = await client.session(session).inspect();
  const lines: Line[] = [], values: (number | null)[][] = [];
  Object.entries(layers).forEach(([name, { diagnostics = {} }], index) => {
    for (const factor of ["A", "G"]) {
      const { spectrum } = diagnostics[factor] ?? {};
      if (spectrum === undefined) continue;
      const color = COLORS[index % COLORS.length];
      lines.push({ label: `${name} ${factor}`, color, isDashed: factor === "G" });
      // not above 0: rounding, which a logarithm has no place for
      values.push(QUANTILES.map(([, field]) => {
        const value = spectrum[field];
        return value !== undefined && value > 0 ? value : null;
      }));
    }
  });
  if (lines.length > 0) spectra.draw(lines, [QUANTILES.map(([share]) => share), ...values]);
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
