/**
 * The calls of sessions that take and answer documents: where they are, what they take, what they answer.
 *
 * @module
 */
import type * as z from "zod";
import type { SessionCallName } from "@/compute/mod.ts";
import {
  ChangeAnswer,
  DeletedAnswer,
  RefreshRequest,
  ReportRequest,
  SessionAnswer,
  SessionPatch,
  SessionRequest,
  SessionsAnswer,
  SessionTensorsAnswer,
  SessionUpdatesAnswer,
  SessionUpdatesRequest,
  StatisticsRequest,
  StepsRequest,
} from "@/wire/mod.ts";

export interface SessionRoute {
  readonly call: SessionCallName;
  readonly method: "get" | "post" | "patch" | "delete" | "put";
  /** Below `/v1/sessions`. */
  readonly path: string;
  readonly summary: string;
  /** Absent where no body is taken. */
  readonly request?: z.ZodType;
  readonly answer: z.ZodType;
  /** A request that works as it stands, for the reference. */
  readonly example?: Record<string, unknown>;
}

const BATCH = {
  fc1: {
    inputs: [[1, 2, 0.5], [0, 1, -1], [2, 0, 1]],
    output_gradients: [[0.5, -0.25], [1, 0], [-0.5, 0.75]],
  },
};
const GRADIENT = {
  fc1: { gradient: [[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]], bias_gradient: [0.1, -0.1] },
};

export const SESSION_ROUTES: readonly SessionRoute[] = [
  {
    call: "create",
    method: "post",
    path: "",
    summary: "Opens a session",
    request: SessionRequest,
    answer: SessionAnswer,
    example: {
      method: "kfac",
      layers: { fc1: { kind: "dense", d_in: 3, d_out: 2 } },
      damping: 0.01,
      refresh: { every: 10 },
    },
  },
  { call: "list", method: "get", path: "", summary: "All sessions", answer: SessionsAnswer },
  {
    call: "inspect",
    method: "get",
    path: "/:id",
    summary: "Configuration, counters and diagnostics",
    answer: SessionAnswer,
  },
  {
    call: "patch",
    method: "patch",
    path: "/:id",
    summary: "Changes damping, decay, refresh or kl_clip",
    request: SessionPatch,
    answer: ChangeAnswer,
    example: { damping: 0.001 },
  },
  { call: "delete", method: "delete", path: "/:id", summary: "Ends it", answer: DeletedAnswer },
  {
    call: "statistics",
    method: "post",
    path: "/:id/statistics",
    summary: "Takes a batch into the running averages",
    request: StatisticsRequest,
    answer: ChangeAnswer,
    example: { layers: BATCH },
  },
  {
    call: "refresh",
    method: "post",
    path: "/:id/refresh",
    summary: "Recomputes the preconditioner now",
    request: RefreshRequest,
    answer: ChangeAnswer,
    example: {},
  },
  {
    call: "updates",
    method: "post",
    path: "/:id/updates",
    summary: "Gradients in, updates out, by the current preconditioner",
    request: SessionUpdatesRequest,
    answer: SessionUpdatesAnswer,
    example: { layers: GRADIENT },
  },
  {
    call: "steps",
    method: "post",
    path: "/:id/steps",
    summary: "A batch and its gradients in, updates out; refreshes where that is due",
    request: StepsRequest,
    answer: SessionUpdatesAnswer,
    example: { layers: { fc1: { ...BATCH.fc1, ...GRADIENT.fc1 } } },
  },
  {
    call: "reports",
    method: "post",
    path: "/:id/reports",
    summary: "Adapts the damping by the Levenberg–Marquardt rule",
    request: ReportRequest,
    answer: ChangeAnswer,
    example: { loss_before: 1, loss_after: 0.4, predicted_change: -0.5 },
  },
  {
    call: "factors",
    method: "get",
    path: "/:id/factors",
    summary: "The running averages",
    answer: SessionTensorsAnswer,
  },
];
