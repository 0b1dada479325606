/**
 * How full a deadline may be planned, learned from how those that were promised came out.
 *
 * What is expected of a queue is a mean, and a request has more on its way than its turn: it is received, sent, and what else
 * the machine does lies between. So a newcomer is held against a share of its deadline. The share rises a little with every
 * answer in time and falls with one that was late, so that in the long run one in a hundred is: the quantile filter of
 * stochastic approximation (Robbins & Monro 1951).
 *
 * @module
 */

/** An answer that took more of its deadline counts as late: the client has yet to read it. */
export const LATE = 0.87;

/** Share of answers that may be late. */
const MAY_BE_LATE = 0.01;

/** What a late answer takes from the share. */
const STEP = 0.015;

const LEAST = 0.3, MOST = 0.9;

export class Margin {
  #share = 0.55;

  /** Whether a deadline can be promised to what is expected to be answered after so long. */
  isEnough(expectedMs: number, deadlineMs: number): boolean {
    return expectedMs <= this.#share * deadlineMs;
  }

  /** Learns from an answer that has left, or from work that was given up at its deadline. */
  learn(tookMs: number, deadlineMs: number): void {
    const isLate = tookMs > LATE * deadlineMs;
    const change = isLate ? -STEP : STEP * MAY_BE_LATE / (1 - MAY_BE_LATE);
    this.#share = Math.min(Math.max(this.#share + change, LEAST), MOST);
  }
}
