/**
 * Levenberg–Marquardt damping: every few steps the server is told what a step brought, and adapts λ.
 *
 * The losses are of the step's own batch, with the penalty of weight decay, as the quadratic model predicts them.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, section 6.5.
 *
 * @module
 */
import { type Scalar, tidy } from "@tensorflow/tfjs";
import { newKey } from "../client/session.ts";
import type { Settings } from "./options.ts";
import { ServerLostError, type SessionLink } from "./session_link.ts";

/** What a step was to bring, and how to see what it did. */
export interface StepOutcome {
  readonly lossBefore: number;
  /** As the server predicted it; 0 where the step followed the plain gradient. */
  readonly predictedChange: number;
  /** The loss of the batch now, without the penalty. */
  readonly lossOf: () => Scalar;
  /** The penalty now. */
  readonly penalty: () => Promise<number>;
}

/** Whether the step that begins is one to be reported. */
export function isReported({ reportEvery }: Settings, step: number): boolean {
  return reportEvery !== null && (step + 1) % reportEvery === 0;
}

/** Reports a step. @returns the new λ; null where it stays, as nothing was predicted or the server is away. */
export async function adaptedDamping(
  link: SessionLink,
  { onLost }: Settings,
  { lossBefore, predictedChange, lossOf, penalty }: StepOutcome,
): Promise<number | null> {
  if (!(predictedChange < 0)) return null;
  const after = tidy(lossOf);
  const [loss] = await after.data();
  after.dispose();
  const lossAfter = loss + await penalty();
  const report = {
    loss_before: lossBefore,
    loss_after: Number.isFinite(lossAfter) ? lossAfter : null,
    predicted_change: predictedChange,
  };
  const key = newKey();
  try {
    const answer = await link.run((session) => session.reports(report, { key }), onLost);
    return answer.damping as number;
  } catch (error) {
    if (error instanceof ServerLostError) return null;
    throw error;
  }
}
