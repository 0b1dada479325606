/**
 * Learning rates as functions of the step.
 *
 * @module
 */

/** η of step 0, 1, 2, … */
export type Schedule = (step: number) => number;

/** A rate that does not change, or a schedule, as a schedule. */
export function scheduleOf(rate: number | Schedule): Schedule {
  return typeof rate === "number" ? () => rate : rate;
}

/** `η₀ · rate^(step/steps)`; in whole powers where `staircase`. */
export function exponentialDecay(
  initial: number,
  { rate, steps, staircase = false }: { rate: number; steps: number; staircase?: boolean },
): Schedule {
  return (step) => initial * rate ** (staircase ? Math.floor(step / steps) : step / steps);
}

/** From `initial` to `final` along half a cosine over `steps` steps, then constant. */
export function cosineDecay(initial: number, steps: number, final = 0): Schedule {
  return (step) => {
    const gone = Math.min(step / steps, 1);
    return final + (initial - final) * (1 + Math.cos(Math.PI * gone)) / 2;
  };
}

/** From `initial` to `final` along a straight line over `steps` steps, then constant. */
export function linearDecay(initial: number, steps: number, final = 0): Schedule {
  return (step) => initial + (final - initial) * Math.min(step / steps, 1);
}

/**
 * `rates[i]` from step `boundaries[i − 1]` on.
 *
 * @throws RangeError unless there is one rate more than boundaries, and these ascend.
 */
export function piecewise(rates: readonly number[], boundaries: readonly number[]): Schedule {
  if (rates.length !== boundaries.length + 1) {
    throw new RangeError(
      `Cannot schedule ${rates.length} rates by ${boundaries.length} boundaries: one fewer is needed`,
    );
  }
  if (boundaries.some((boundary, i) => i > 0 && boundary <= boundaries[i - 1])) {
    throw new RangeError(`Cannot schedule by boundaries that do not ascend: ${boundaries}`);
  }
  return (step) => {
    const later = boundaries.findIndex((boundary) => step < boundary);
    return rates[later < 0 ? rates.length - 1 : later];
  };
}

/** `schedule`, reached along a straight line from zero over the first `steps` steps. */
export function warmup(schedule: number | Schedule, steps: number): Schedule {
  const after = scheduleOf(schedule);
  return (step) => after(step) * Math.min((step + 1) / steps, 1);
}
