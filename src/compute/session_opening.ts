/**
 * How a session comes to be: of a request, or of a checkpoint.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import {
  bytesOf,
  configurationOf,
  differencesOf,
  type Head,
  leastBytesOf,
  newState,
  type SessionState,
} from "@/sessions/mod.ts";
import { type Document, type SessionRequest } from "@/wire/mod.ts";
import { inspection } from "./session_answers.ts";
import type { HostContext } from "./session_context.ts";
import { keysOf } from "./session_keys.ts";
import { type Live, newLive, release } from "./session_live.ts";
import type { Residents } from "./session_residents.ts";
import type { SessionCall } from "./session_protocol.ts";
import { disposeBut } from "./session_transaction.ts";

/** A new session. @throws CurvdError `conflict` where its id is taken, `too-large-to-fit`, `unsupported`. */
export async function create(
  { journal, residents }: HostContext,
  call: SessionCall,
  id: string,
): Promise<Document> {
  const request = call.request as unknown as SessionRequest;
  if (residents.head(id)) {
    throw new CurvdError("conflict", `There is a session "${id}" already`, {
      value: id,
      suggestion: "another id, or none",
    });
  }
  const { identity, settings, damping } = configurationOf(request);
  residents.expectToFit(leastBytesOf(identity));
  const state = newState(identity.layers, settings, damping);
  const live = newLive(id, identity, state);
  const answer = inspection(live);
  await journal.open(live, keysOf(call, answer));
  residents.add(live);
  return answer;
}

/**
 * The session of a checkpoint, in the place of one of the same id and configuration.
 *
 * @param received its head and state, whose tensors become the session's, or are let go.
 * @param find the session there is, brought back; it says whether the call's revision is its own.
 * @throws CurvdError `conflict` naming the differences of configuration, `too-large-to-fit`.
 */
export async function restore(
  { journal, residents }: HostContext,
  call: SessionCall,
  received: { head: Head; state: SessionState },
  find: () => Promise<Live>,
): Promise<{ answer: Document; live: Live }> {
  const id = call.session!; // the path's, checked there
  const { head, state } = received;
  const { identity } = head;
  try {
    expectSameConfiguration(residents, id, head);
    const before = residents.head(id) ? await find() : null;
    if (!before && call.revision !== undefined) {
      throw new CurvdError("precondition-failed", `There is no session "${id}" to replace`, {
        value: call.revision,
      });
    }
    residents.expectToFit(bytesOf(state));
    const revision = Math.max(state.revision, (before?.state.revision ?? -1) + 1);
    const live = newLive(id, identity, { ...state, revision });
    const answer = inspection(live);
    await journal.open(live, keysOf(call, answer));
    if (before) release(before);
    residents.add(live);
    return { answer, live };
  } catch (error) {
    disposeBut(state, null);
    throw error;
  }
}

/** @throws CurvdError `conflict` where there is a session of this id and another configuration, naming the differences. */
export function expectSameConfiguration(
  residents: Residents,
  id: string,
  { identity }: Head,
): void {
  const there = residents.head(id);
  const differences = there ? differencesOf(there.identity, identity) : [];
  if (differences.length === 0) return;
  throw new CurvdError(
    "conflict",
    `The checkpoint is of another configuration than session "${id}": ${differences.join(", ")}`,
    { value: differences, suggestion: "another id" },
  );
}
