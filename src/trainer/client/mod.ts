/**
 * The client: a curvd server's calls as functions, in Deno, Node and browsers. Loads no TensorFlow.js.
 *
 * @module
 */
export {
  type CallAnswer,
  type CallName,
  type CallRequest,
  type ClientOptions,
  CurvdClient,
} from "./client.ts";
export type { TensorFormat } from "./codec.ts";
export type { EventOptions, SessionEvent } from "./events.ts";
export { isServerAway, type RetryOptions, UnreachableError } from "./retry.ts";
export {
  type Change,
  type ChangeOptions,
  type CreatedSession,
  CurvdSession,
  type SessionTensors,
  type SessionUpdates,
} from "./session.ts";
export type { CallOptions, Exchange, TransportOptions } from "./transport.ts";
