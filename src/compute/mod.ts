/** The compute Worker as the HTTP thread sees it. @module */
export {
  type CallName,
  CALLS,
  type Compute,
  type ComputeSettings,
  type DeviceReport,
  type Offer,
} from "./protocol.ts";
export {
  SESSION_CALLS,
  type SessionCall,
  type SessionCallName,
  type SessionEvent,
} from "./session_protocol.ts";
export { startCompute } from "./client.ts";
