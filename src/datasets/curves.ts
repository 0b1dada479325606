/**
 * CURVES: images of a cubic curve through three random points, so that six numbers tell an image.
 *
 *   c(t) = natural cubic spline with c(0) = p₀, c(½) = p₁, c(1) = p₂
 *   pixel = exp(−d²/2σ²),  d its distance from the curve
 *
 * Source: Hinton & Salakhutdinov 2006, Science 313, 504, who made 20 000 images to train on and
 * 10 000 to test.
 *
 * Departs: their file is not to be had from a package registry, and the paper leaves margin, width
 * and antialiasing open: here they are {@linkcode MARGIN} and {@linkcode SIGMA}. Losses on this set
 * are compared with each other, not digit by digit with those published.
 *
 * @module
 */
import { type Images, PIXELS, SIDE } from "./images.ts";
import { mulberry32 } from "./random.ts";

/** Pixels between the points and the frame; a curve may still swing out of it, and is cut there. */
const MARGIN = 3;
/** σ of a stroke's profile across, in pixels. */
const SIGMA = 0.7;
/** Beyond 4σ a stroke is below half a grey level. */
const REACH = Math.ceil(4 * SIGMA);
/** Places along a curve: on the longest they are a third of a pixel apart. */
const PLACES = 160;

type Points = readonly [x0: number, y0: number, x1: number, y1: number, x2: number, y2: number];

/**
 * Draws curves.
 *
 * @param seed the same seed gives the same images, and more of them the same first ones.
 */
export function curves(count: number, seed: number): Images {
  const random = mulberry32(seed);
  const pixels = new Uint8Array(count * PIXELS);
  const nearest = new Float32Array(PIXELS);
  for (let image = 0; image < count; image++) {
    const points = Array.from({ length: 6 }, () => MARGIN + random() * (SIDE - 1 - 2 * MARGIN));
    measure(points as unknown as Points, nearest);
    const at = image * PIXELS;
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      pixels[at + pixel] = Math.round(255 * Math.exp(-nearest[pixel] / (2 * SIGMA ** 2)));
    }
  }
  return { count, pixels };
}

/** Squared distance of every pixel from the curve, ∞ where that is out of reach. */
function measure([x0, y0, x1, y1, x2, y2]: Points, nearest: Float32Array): void {
  nearest.fill(Infinity);
  for (let place = 0; place <= PLACES; place++) {
    const t = place / PLACES;
    const x = splineAt(x0, x1, x2, t);
    const y = splineAt(y0, y1, y2, t);
    for (let row = within(y - REACH); row <= within(y + REACH); row++) {
      for (let column = within(x - REACH); column <= within(x + REACH); column++) {
        const squared = (column - x) ** 2 + (row - y) ** 2;
        const pixel = row * SIDE + column;
        if (squared < nearest[pixel]) nearest[pixel] = squared;
      }
    }
  }
}

function within(coordinate: number): number {
  return Math.min(Math.max(Math.round(coordinate), 0), SIDE - 1);
}

/**
 * The natural cubic spline through p₀, p₁, p₂ at t = 0, ½, 1: on either half, with u from the outer
 * point (0) to the middle one (1), `(1−u) p_outer + u p₁ + ¼(p₀ − 2p₁ + p₂)(u³ − u)`.
 */
export function splineAt(p0: number, p1: number, p2: number, t: number): number {
  const [outer, u] = t < 0.5 ? [p0, 2 * t] : [p2, 2 - 2 * t];
  return (1 - u) * outer + u * p1 + (p0 - 2 * p1 + p2) * (u ** 3 - u) / 4;
}
