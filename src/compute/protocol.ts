/**
 * What the HTTP thread and the compute Worker say to each other.
 *
 * Requests are validated documents of `wire/`; their tensors' buffers are transferred, never cloned.
 *
 * @module
 */
import type { EngineFacts, EngineKind, EngineMemory } from "@/engine/mod.ts";
import type { PackedError } from "@/errors.ts";
import type { LogSettings } from "@/log.ts";
import type { Document } from "@/wire/mod.ts";
import type { TurnFacts } from "./device_turns.ts";
import type { SessionCall, SessionCounts, SessionEvent } from "./session_protocol.ts";

/** The stateless calls of api.md, section 3, by the noun of their URL. */
export const CALLS = [
  "factors",
  "inverses",
  "eigenbases",
  "scalings",
  "kronecker-terms",
  "updates",
  "approximation-errors",
  "inverse-roots",
  "plan",
] as const;
export type CallName = typeof CALLS[number];

/** What the Worker is started with. */
export interface ComputeSettings {
  readonly engine: "auto" | EngineKind;
  /** `auto`, `off`, or a library's path. */
  readonly blas: string;
  /** What sessions may take of the device, all together; absent: without bound. */
  readonly memoryBytes?: number;
  /** Absent: nothing is logged. */
  readonly log?: LogSettings;
}

/** What the Worker can do: the HTTP thread asks it, so that it need not load the methods themselves. */
export interface Offer {
  readonly calls: readonly CallName[];
  /** The body of `GET /v1/methods`, one description a method. */
  readonly methods: readonly unknown[];
}

/** Main thread → Worker. */
export type ToWorker =
  /** `store`: a port to the store's Worker; without one there are no sessions. */
  | { type: "start"; settings: ComputeSettings; store?: MessagePort }
  | { type: "session"; id: number; call: SessionCall }
  | { type: "call"; id: number; call: CallName; request: Document }
  | { type: "device"; id: number }
  | { type: "abort"; id: number }
  | { type: "stop" };

/** Worker → main thread. */
export type FromWorker =
  | { type: "ready"; facts: EngineFacts; offer: Offer }
  | { type: "failed"; error: PackedError } // the engine could not be opened
  | { type: "answer"; id: number; answer: Document }
  | { type: "error"; id: number; error: PackedError }
  | { type: "device"; id: number; report: DeviceReport }
  | { type: "event"; session: string; event: SessionEvent }
  | { type: "turn"; turn: TurnFacts }
  | { type: "vitals"; vitals: Vitals }
  | { type: "lost"; reason: string }
  | { type: "stopped" };

/** The body of `GET /v1/device`. */
export interface DeviceReport extends EngineFacts {
  readonly memory: EngineMemory;
}

/** What the Worker tells of itself once a second. */
export interface Vitals {
  readonly memory: EngineMemory;
  /** Null where there is no store. */
  readonly sessions: SessionCounts | null;
}

/** What can be watched of the compute side. */
export interface Watcher {
  /** After each turn at the device. */
  turn?(turn: TurnFacts): void;
  vitals?(vitals: Vitals): void;
  /** Whatever happens to sessions. */
  session?(session: string, event: SessionEvent): void;
  /** The Worker was lost, with all it was doing, and is started again. */
  restart?(): void;
}

/** The compute side as the routes see it. */
export interface Compute {
  readonly offer: Offer;
  /**
   * Runs a stateless call.
   * @param request a document that its schema accepted; its tensors are given away.
   * @param signal aborting it drops the work at the next opportunity.
   * @returns the answer document, `timing` and `warnings` included. A layer that failed alone
   *   (`on_error: skip`) has its {@linkcode PackedError} as `error`.
   * @throws CurvdError whatever the work threw; `aborted`; `device-lost`.
   */
  call(
    call: CallName,
    request: Document,
    options?: { signal?: AbortSignal },
  ): Promise<Document>;
  /**
   * Runs a call of sessions. One that changes something is not dropped when its client leaves: it was taken.
   * @param call a document that its schema accepted; its tensors are given away.
   * @throws CurvdError whatever the work threw; `device-lost`; `unsupported` where there is no store.
   */
  session(call: SessionCall): Promise<Document>;
  /** Tells what happens to the Worker, until the function it returns is called. */
  observe(watcher: Watcher): () => void;
  /** Tells what happens to sessions, until the function it returns is called. */
  watch(listener: (session: string, event: SessionEvent) => void): () => void;
  device(): Promise<DeviceReport>;
  /** Whether work can be taken now. */
  isReady(): boolean;
  /** Finishes what was taken, then ends the Worker. @param graceMs when it is ended in any case. */
  close(graceMs?: number): Promise<void>;
}
