/**
 * What a change does to a session on the device, whether it was just asked for or is read from the log.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra } from "@/linalg/mod.ts";
import type { SessionState } from "@/sessions/mod.ts";
import { hostTransition } from "./session_changes.ts";
import { prepareInputs, type RequestWords, type SessionFields } from "./session_inputs.ts";
import type { Live } from "./session_live.ts";
import { type Entry, LAST_UPDATE, type Remains } from "./session_log.ts";
import {
  refreshWork,
  replayWork,
  statisticsWork,
  type Stepped,
  stepWork,
} from "./session_steps.ts";
import { transact, type Transacted, withFiniteAverages } from "./session_transaction.ts";
import type { StepAnswer, UpdateParameters } from "./session_update_answer.ts";

/** A session as its transitions need it. */
export type Seen = Pick<Live, "id" | "identity" | "state" | "usesKeys">;

/** How an entry is carried out. */
export interface Manner {
  /** Told the state as soon as its averages have moved; perhaps twice. */
  readonly whenTaken?: (state: SessionState) => void;
  /** What the log kept of layers whose batch it did not; given where an entry is replayed, and its updates are not wanted. */
  readonly remains?: ReadonlyMap<string, Remains>;
}

/**
 * The state that an entry leads to; its new tensors are the caller's.
 *
 * @throws CurvdError what the change is refused for; then nothing is left.
 */
export function transition(
  engine: Engine,
  session: Seen,
  entry: Entry,
  { whenTaken, remains }: Manner = {},
): Promise<Transacted<StepAnswer>> {
  const { call, request } = entry;
  const stepped = (): Stepped => ({ ...steppedBy(session, entry), whenTaken, remains });
  switch (call) {
    case "patch":
    case "reports":
      return Promise.resolve(hostTransition(session.state, call, request));
    case "refresh":
      return transact(engine, (linalg) => refreshWork(stepped(), linalg));
    case "statistics": {
      const inputs = stepped();
      const work = async (linalg: LinearAlgebra) => {
        const made = await statisticsWork(inputs, linalg);
        return remains ? made : withFiniteAverages(made, session.state);
      };
      return transact(engine, work);
    }
    case "steps": {
      const inputs = stepped();
      const parameters = request as UpdateParameters;
      const work = async (linalg: LinearAlgebra) =>
        remains
          ? await replayWork(inputs, linalg)
          : withFiniteAverages(await stepWork(inputs, parameters, linalg), session.state);
      return transact(engine, work);
    }
    default:
      throw new CurvdError("internal", `${call} does not move session "${session.id}"`, {
        method: session.identity.method,
      });
  }
}

/** A session with the inputs of an entry, looked at. @throws CurvdError naming layer and tensor. */
export function steppedBy(
  { identity, state, usesKeys }: Seen,
  { request, mayDefer }: Pick<Entry, "request" | "mayDefer">,
): Stepped {
  const layers = Object.fromEntries(
    Object.entries(request.layers ?? {}).map(([name, { [LAST_UPDATE]: _, ...fields }]) =>
      [name, fields as SessionFields] as const
    ),
  );
  const inputs = prepareInputs(identity, state, layers, request as RequestWords);
  return { identity, state, inputs, mayDefer, retains: usesKeys };
}
