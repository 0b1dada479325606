/**
 * Updates of gradients by a session's preconditioner, where nothing moves: asked for alone, or once more under a step's key.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra } from "@/linalg/mod.ts";
import type { SessionState } from "@/sessions/mod.ts";
import type { Document } from "@/wire/mod.ts";
import type { HostContext } from "./session_context.ts";
import type { Live } from "./session_live.ts";
import type { SessionCall } from "./session_protocol.ts";
import { updatesWork } from "./session_steps.ts";
import { disposeBut, transact } from "./session_transaction.ts";
import { type Seen, steppedBy } from "./session_transition.ts";
import type { UpdateParameters } from "./session_update_answer.ts";
import { waiting } from "./turns.ts";

/** Updates by the current preconditioner. @throws CurvdError `unsupported` of SOAP. */
export async function updates(
  context: HostContext,
  live: Live,
  { request }: SessionCall,
): Promise<Document> {
  if (live.identity.method === "soap") {
    throw new CurvdError("unsupported", "SOAP's update is a step: it cannot be asked for alone", {
      value: "soap",
      suggestion: "steps",
    });
  }
  const { version, revision, age } = live.state;
  const { refreshed: _, ...answer } = await updatesBy(context, live, request);
  return { id: live.id, version, revision, age, ...answer };
}

/** A step's updates once more: of the preconditioner that it had, where that is still there. */
export async function updatesAgain(
  context: HostContext,
  live: Live,
  { request: { step_size: _, ...request } }: SessionCall,
  version: number,
): Promise<Document> {
  const { retained } = live.state;
  const forms = retained?.version === version ? retained.forms : null;
  const then: SessionState = forms
    ? {
      ...live.state,
      layers: new Map([...live.state.layers].map(([name, layer]) => [
        name,
        { ...layer, forms: forms.get(name) ?? layer.forms },
      ])),
    }
    : live.state;
  return await updatesBy(context, { ...live, state: then }, request);
}

async function updatesBy(
  { engine, together }: HostContext,
  session: Seen,
  request: Document,
): Promise<Document> {
  const stepped = steppedBy(session, { request, mayDefer: true });
  const work = (linalg: LinearAlgebra) => updatesWork(stepped, request as UpdateParameters, linalg);
  const { result, waitMs } = await waiting(together, () => transact(engine, work));
  const { state, answer, timing } = result;
  disposeBut(state, session.state);
  return { ...answer.fields, timing: { wait_ms: waitMs, ...timing, total_ms: 0 }, warnings: [] };
}
