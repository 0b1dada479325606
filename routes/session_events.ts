/** `GET /v1/sessions/{id}/events`: server-sent events, one a refresh and one a step. @module */
import type { Context } from "hono";
import type { SessionEvent } from "@/compute/mod.ts";
import { sessionsOf } from "./namespace.ts";
import { type SessionServices, targetOf } from "./session_request.ts";

/** A comment so often keeps proxies from closing a quiet stream. */
const HEARTBEAT_MS = 15_000;
/** How soon an open stream learns that the server stops, or that its key is good no more. */
const CHECK_MS = 250;
/** A reader that is so far behind is let go: it would be told of a past it can ask for. */
const MOST_WAITING = 256;

export function eventsHandler({ compute, isDraining }: SessionServices) {
  return async function answerEvents(c: Context): Promise<Response> {
    const { session } = targetOf(c);
    const sessions = sessionsOf(c, compute);
    await sessions.session({ call: "inspect", session, request: {} }); // 404 where there is none
    const { isValid } = c.get("key");
    const isOver = () => isDraining() || !isValid();
    return c.body(eventStream(session!, sessions.watch.bind(sessions), isOver), 200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
    });
  };
}

type Watch = SessionServices["compute"]["watch"];

function eventStream(
  session: string,
  watch: Watch,
  isOver: () => boolean,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  let stop = () => {};
  return new ReadableStream({
    start(controller) {
      const send = (text: string) => controller.enqueue(encoder.encode(text));
      const end = () => {
        stop();
        controller.close();
      };
      const unwatch = watch((of: string, event: SessionEvent) => {
        if (of !== session) return;
        const { event: name, ...facts } = event;
        send(`event: ${name}\ndata: ${JSON.stringify(facts)}\n\n`);
        if (name === "deleted" || (controller.desiredSize ?? 0) < -MOST_WAITING) end();
      });
      const heartbeat = setInterval(() => send(": still here\n\n"), HEARTBEAT_MS);
      const ending = setInterval(() => isOver() && end(), CHECK_MS);
      stop = () => {
        unwatch();
        clearInterval(heartbeat);
        clearInterval(ending);
      };
      send(": watching\n\n");
    },
    cancel: () => stop(),
  });
}
