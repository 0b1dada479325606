/**
 * The application: every route, what stands before them, and what becomes of errors.
 *
 * @module
 */
import { Hono } from "hono";
import { requestId, type RequestIdVariables } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { CurvdError } from "@/errors.ts";
import { STATELESS_CALLS } from "./calls.ts";
import { deviceHandler } from "./device.ts";
import { docsRoutes } from "./docs.ts";
import { healthRoutes } from "./health.ts";
import { answerHome } from "./home.ts";
import { inferenceRoutes } from "./inference_protocol/routes.ts";
import { refuseOtherMethods } from "./method_not_allowed.ts";
import { methodsHandler } from "./methods.ts";
import { openApiDocument } from "./openapi.ts";
import { onError } from "./problem.ts";
import { answerProblemKind } from "./problem_kinds.ts";
import { sessionRoutes } from "./sessions.ts";
import { type CallServices, handlerOf } from "./stateless.ts";

export interface AppOptions extends CallServices {
  /** Largest checkpoint; by default as large as any body. */
  readonly maxCheckpointBytes?: number;
  /** Whether the server is finishing its last requests. */
  readonly isDraining?: () => boolean;
}

/** Pages and answers are this server's own; nothing is loaded from elsewhere, nothing is framed. */
const SECURE_HEADERS = {
  contentSecurityPolicy: {
    defaultSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"], // Swagger UI styles its elements in place
    imgSrc: ["'self'", "data:"],
    frameAncestors: ["'none'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
  },
  strictTransportSecurity: false, // of no meaning over plain HTTP
  xXssProtection: false, // a filter that browsers have removed
} satisfies Parameters<typeof secureHeaders>[0];

export function createApp(options: AppOptions): Hono<{ Variables: RequestIdVariables }> {
  const { compute, codec, maxBodyBytes, isDraining = () => false } = options;
  const { calls, methods } = compute.offer;
  const offered = STATELESS_CALLS.filter(({ call }) => calls.includes(call));
  const openApi = openApiDocument(offered);

  const app = new Hono<{ Variables: RequestIdVariables }>({ strict: false });
  app.onError(onError);
  app.notFound((c) => {
    const detail = `There is no ${new URL(c.req.url).pathname}; see /docs for what there is`;
    return onError(new CurvdError("not-found", detail), c);
  });
  app.use(requestId());
  app.use(secureHeaders(SECURE_HEADERS));

  const handlers = new Map(offered.map((call) => [call.call, handlerOf(call, options)]));
  for (const [call, handler] of handlers) app.post(`/v1/${call}`, handler);
  app.route(
    "/v1/sessions",
    sessionRoutes({ maxCheckpointBytes: maxBodyBytes, ...options, isDraining }),
  );
  app.get("/v1/methods", methodsHandler(methods, codec));
  app.get("/v1/device", deviceHandler(compute, codec));
  app.route("/health", healthRoutes(compute, isDraining));
  app.route("/v2", inferenceRoutes(handlers, healthRoutes(compute, isDraining)));
  app.get("/openapi.json", (c) => c.json(openApi));
  app.route("/docs", docsRoutes());
  app.get("/problems/:code", answerProblemKind);
  app.get("/", answerHome);

  refuseOtherMethods(app);
  return app;
}
