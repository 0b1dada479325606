/** The compute Worker as the HTTP thread sees it. @module */
export {
  type CallName,
  CALLS,
  type Compute,
  type ComputeSettings,
  type DeviceReport,
  type Offer,
  type Vitals,
  type Watcher,
} from "./protocol.ts";
export {
  SESSION_CALLS,
  type SessionCall,
  type SessionCallName,
  type SessionCounts,
  type SessionEvent,
} from "./session_protocol.ts";
export type { TurnFacts } from "./device_turns.ts";
export { startCompute } from "./client.ts";
