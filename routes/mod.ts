/**
 * The application: every route, what stands before them, and what becomes of errors.
 *
 * @module
 */
import { Hono } from "hono";
import { Admission } from "@/admission/mod.ts";
import { CurvdError } from "@/errors.ts";
import { Metrics } from "@/observe/mod.ts";
import type { Keyring } from "@/keys/mod.ts";
import { accessLog } from "./access_log.ts";
import { admit } from "./admission.ts";
import { STATELESS_CALLS } from "./calls.ts";
import type { AppEnv } from "./context.ts";
import { deviceHandler } from "./device.ts";
import { docsRoutes } from "./docs.ts";
import { type Health, healthRoutes } from "./health.ts";
import { refuseForeignHosts } from "./hosts.ts";
import { isInference, onInferenceError } from "./inference_protocol/error.ts";
import { inferenceRoutes } from "./inference_protocol/routes.ts";
import { requireKey } from "./keys.ts";
import { refuseOtherMethods } from "./method_not_allowed.ts";
import { methodsHandler } from "./methods.ts";
import { openApiDocument } from "./openapi.ts";
import { withKeys } from "./openapi_keys.ts";
import { allowOrigins, refuseForeignPages } from "./origins.ts";
import { answerHome, pageRoutes } from "./page.ts";
import { countRequests, metricsHandler } from "./metrics.ts";
import { onError } from "./problem.ts";
import { answerProblemKind } from "./problem_kinds.ts";
import { securityHeaders } from "./security_headers.ts";
import { identify } from "./request_id.ts";
import { sessionRoutes } from "./sessions.ts";
import { type CallServices, handlerOf } from "./stateless.ts";
import { traceRequests } from "./tracing.ts";

/** Paths of sessions; their calls take turns one after another, by id. */
const SESSION_PATHS = ["/v1/sessions", "/v1/sessions/:id", "/v1/sessions/:id/:noun"];

const INFERENCE_PATHS = [
  "/v2/models/:model/infer",
  "/v2/models/:model/versions/:version/infer",
];

export interface AppOptions extends Omit<CallServices, "metrics"> {
  readonly metrics?: Metrics;
  /** Who may come in, and whose turn it is; by default as many as come. */
  readonly admission?: Admission;
  /** Largest checkpoint; by default as large as any body. */
  readonly maxCheckpointBytes?: number;
  /** What keeps sessions, to be asked whether it can; absent where none are kept. */
  readonly store?: Health["store"];
  /** Whether the server is finishing its last requests. */
  readonly isDraining?: () => boolean;
  /** The keys that are good; absent: everybody is served. */
  readonly keyring?: Keyring;
  /** Origins of the web pages that may call, beside the server's own. */
  readonly origins?: readonly string[];
  /** The server's own names beside `localhost` and IP addresses; absent: any name is taken for it. */
  readonly names?: readonly string[];
}

export function createApp(options: AppOptions): Hono<AppEnv> {
  const { compute, codec, store, maxBodyBytes, isDraining = () => false, keyring } = options;
  const { origins = [], names, maxCheckpointBytes = maxBodyBytes } = options;
  const { admission = new Admission({ requests: Infinity, bytes: Infinity }) } = options;
  const { metrics = new Metrics() } = options;
  const services = { ...options, metrics };
  const { calls, methods } = compute.offer;
  const offered = STATELESS_CALLS.filter(({ call }) => calls.includes(call));
  const reference = openApiDocument(offered);
  const openApi = keyring === undefined ? reference : withKeys(reference);

  const app = new Hono<AppEnv>({ strict: false });
  app.onError((error, c) => isInference(c) ? onInferenceError(error, c) : onError(error, c));
  app.notFound(({ req }) => {
    throw new CurvdError("not-found", `There is no ${req.path}; see /docs for what there is`);
  });
  app.use(identify);
  app.use(traceRequests);
  app.use(accessLog);
  app.use(countRequests(metrics));
  app.use(securityHeaders());
  if (names !== undefined) app.use(refuseForeignHosts(names));
  if (origins.length > 0) app.use(allowOrigins(origins)); // before keys: a browser's first question carries none
  app.use(refuseForeignPages(origins));
  app.use(requireKey(keyring));

  const place = admit(admission, { maxBodyBytes, maxCheckpointBytes });
  for (const { call } of offered) app.use(`/v1/${call}`, place);
  for (const path of SESSION_PATHS) app.use(path, place);
  for (const path of INFERENCE_PATHS) app.use(path, place);
  const handlers = new Map(offered.map((call) => [call.call, handlerOf(call, services)]));
  for (const [call, handler] of handlers) app.post(`/v1/${call}`, handler);
  app.route(
    "/v1/sessions",
    sessionRoutes({ ...services, maxCheckpointBytes, isDraining }),
  );
  app.get("/v1/methods", methodsHandler(methods, codec));
  app.get("/v1/device", deviceHandler(compute, codec));
  const health = healthRoutes({ compute, store, isDraining });
  app.route("/health", health);
  app.route("/v2", inferenceRoutes(handlers, health));
  app.get("/metrics", metricsHandler(metrics, admission));
  app.get("/openapi.json", (c) => c.json(openApi));
  app.route("/docs", docsRoutes());
  app.get("/problems/:code", answerProblemKind);
  app.route("/page", pageRoutes());
  app.get("/", answerHome);

  refuseOtherMethods(app);
  return app;
}
