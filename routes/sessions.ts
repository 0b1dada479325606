/**
 * `/v1/sessions`: headers and bodies to session calls, answers back.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { sizeClassOf } from "@/observe/mod.ts";
import { type Document, type Output, validate } from "@/wire/mod.ts";
import { waitedMs } from "./admission.ts";
import { writeDocument } from "./document.ts";
import { sessionsOf } from "./namespace.ts";
import { encodingOfAnswer } from "./negotiation.ts";
import { SESSION_ROUTES, type SessionRoute } from "./session_calls.ts";
import { checkpointRoutes } from "./session_checkpoint.ts";
import { eventsHandler } from "./session_events.ts";
import { preconditionerHandler } from "./session_preconditioner.ts";
import { headersOf, outputOf, receive, type SessionServices, targetOf } from "./session_request.ts";
import { countWait, serverTiming, timingOf } from "./stateless.ts";

export function sessionRoutes(services: SessionServices): Hono {
  const app = new Hono({ strict: false });
  for (const route of SESSION_ROUTES) {
    app.on(
      route.method.toUpperCase(),
      route.path === "" ? "/" : route.path,
      handlerOf(route, services),
    );
  }
  app.get("/:id/preconditioner", preconditionerHandler(services));
  checkpointRoutes(app, services);
  app.get("/:id/events", eventsHandler(services));
  return app;
}

function handlerOf({ call, request }: SessionRoute, services: SessionServices) {
  const { compute, codec, maxBodyBytes, metrics } = services;

  return async function answerSessionCall(c: Context): Promise<Response> {
    const started = performance.now();
    const received = request ? await receive(c, services, maxBodyBytes) : {
      document: {},
      answerIn: encodingOfAnswer(c.req.raw.headers.get("accept"), "json"),
      digest: "",
    };
    const valid = request ? validate(request, received.document) as Document : {};
    const size = sizeClassOf(valid);
    const receive_ms = performance.now() - started;
    const answer = await sessionsOf(c, compute).session({
      call,
      request: valid,
      ...targetOf(c),
      ...headersOf(c, received.digest),
    });
    countWait(answer, waitedMs(c));
    metrics.computed(`session-${call}`, size, timingOf(answer));
    const output = (valid.output as Output | undefined) ?? outputOf(c);
    const response = await writeDocument(c, answer, codec, received.answerIn, output, {
      ...(answer.revision === undefined ? {} : { etag: `"${answer.revision}"` }),
      ...(call === "create" ? { location: `/v1/sessions/${answer.id}` } : {}),
      "server-timing": serverTiming({ receive_ms, ...timingOf(answer) }),
    });
    return call === "create"
      ? new Response(response.body, { status: 201, headers: response.headers })
      : response;
  };
}
