/** Line charts that grow, by uPlot. @module */
import uPlot from "uplot";

export interface Line {
  readonly label: string;
  readonly color: string;
  /** Dots instead of a whole line. */
  readonly isDashed?: boolean;
}

/** Columns: x, then y of each line; null where a line has no value. */
export type Columns = readonly [number[], ...(number | null)[][]];

const HEIGHT = 240;
/** Colours that can be told apart in light and dark, also by the colour-blind (Okabe and Ito). */
export const COLORS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999"];

/** A chart as wide as the element it stands in. */
export class Chart {
  #plot: uPlot | null = null;
  #lines: readonly Line[] = [];
  readonly #resizing: ResizeObserver;

  constructor(
    private readonly place: HTMLElement,
    private readonly axes: { x: string; isLogarithmic: boolean },
  ) {
    this.#resizing = new ResizeObserver(() => {
      const width = place.clientWidth;
      if (this.#plot && this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
    });
    this.#resizing.observe(place);
  }

  /** Draws lines anew; lines that are not those of before make a new chart. */
  draw(lines: readonly Line[], columns: Columns): void {
    const data = columns as unknown as uPlot.AlignedData;
    if (this.#plot && sameLines(lines, this.#lines)) this.#plot.setData(data);
    else {
      this.#plot?.destroy();
      this.#lines = lines;
      this.#plot = new uPlot(this.#options(lines), data, this.place);
    }
  }

  #options(lines: readonly Line[]): uPlot.Options {
    const { color: ink, borderTopColor: grid } = getComputedStyle(this.place);
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid } };
    return {
      width: this.place.clientWidth,
      height: HEIGHT,
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { time: false },
        y: this.axes.isLogarithmic ? { distr: 3, range: around } : { range: fromZero },
      },
      axes: [{ ...axis, size: 32 }, { ...axis, size: 56, values: (_, ticks) => ticks.map(tick) }],
      series: [
        { label: this.axes.x },
        ...lines.map(({ label, color, isDashed }) => ({
          label,
          stroke: color,
          width: 1.5,
          dash: isDashed ? [6, 4] : undefined,
          points: { show: false },
          spanGaps: true,
        })),
      ],
    };
  }
}

/** A tick's number, short; a logarithmic axis has some without one. */
function tick(value: number | null): string {
  if (value === null) return "";
  return value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)
    ? value.toExponential(0)
    : String(Number(value.toPrecision(3)));
}

/** A logarithmic axis no longer than its values, and some room. */
function around(_: uPlot, least: number | null, most: number | null): [number, number] {
  return [(least ?? 0.1) / 1.2, (most ?? 1) * 1.2];
}

/** An axis from 0 that has room also where all is 0. */
function fromZero(_: uPlot, __: number | null, most: number | null): [number, number] {
  return [0, Math.max(1, (most ?? 0) * 1.1)];
}

function sameLines(left: readonly Line[], right: readonly Line[]): boolean {
  return left.length === right.length && left.every(({ label }, at) => label === right[at].label);
}
