/**
 * Loss curves as SVG, by step and by second.
 *
 * @module
 */
import type { TopLevelSpec } from "vega-lite";

/** One curve. Curves of the same name, such as seeds of a method, share a colour. */
export interface Curve {
  readonly name: string;
  readonly points: readonly CurvePoint[];
}

export interface CurvePoint {
  readonly step: number;
  readonly seconds: number;
  readonly loss: number;
}

/** Points drawn of a curve; more cannot be told apart at this width. */
const MOST_POINTS = 400;

/**
 * Draws the curves twice, losses on a logarithmic scale.
 *
 * @returns an SVG document.
 */
export async function plotLosses(
  title: string,
  lossTitle: string,
  curves: readonly Curve[],
): Promise<string> {
  // over a second to load: only for who plots
  const [{ compile }, { parse, View }] = await Promise.all([import("vega-lite"), import("vega")]);
  const values = curves.flatMap(({ name, points }, curve) =>
    thinned(points).map((point) => ({ name, curve, ...point }))
  ).filter(({ loss }) => Number.isFinite(loss) && loss > 0);
  const panel = (field: "step" | "seconds", x: string) => ({
    width: 420,
    height: 300,
    mark: { type: "line" as const, strokeWidth: 1.5, interpolate: "linear" as const },
    encoding: {
      x: { field, type: "quantitative" as const, title: x },
      y: {
        field: "loss",
        type: "quantitative" as const,
        title: lossTitle,
        scale: { type: "log" as const, nice: false },
      },
      color: {
        field: "name",
        type: "nominal" as const,
        title: null,
        sort: null,
        scale: { scheme: "tableau10" as const },
      },
      detail: { field: "curve", type: "nominal" as const },
    },
  });
  const spec: TopLevelSpec = {
    title,
    background: "white",
    data: { values },
    hconcat: [panel("step", "step"), panel("seconds", "seconds")],
  };
  return await new View(parse(compile(spec).spec), { renderer: "none" }).toSVG();
}

/** Every so many-th point, and the last. */
function thinned(points: readonly CurvePoint[]): readonly CurvePoint[] {
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, at) => at % every === 0 || at === points.length - 1);
}
