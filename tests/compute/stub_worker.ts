/** A Worker that speaks the protocol and does what a request's `order` says. */
import type { FromWorker, ToWorker } from "../../src/compute/protocol.ts";
import { buffersOf, type Document } from "../../src/wire/mod.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
const post = (message: FromWorker, transfer: ArrayBuffer[] = []) =>
  scope.postMessage(message, transfer);
const FACTS = {
  engine: "cpu",
  reason: "a test's Worker",
  adapter: null,
  tuning: null,
  limits: {},
  features: [],
  blas: null,
} as const;
const aborted: number[] = [];

scope.addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  switch (data.type) {
    case "start": {
      if (data.settings.blas === "broken") {
        const error = { code: "unsupported", message: "no such library", facts: {} } as const;
        return post({ type: "failed", error });
      }
      if (self.name === "lost while it opens") {
        post({ type: "lost", reason: "the GPU fell off" });
        setTimeout(() => post({ type: "stopped" }));
      }
      return post({ type: "ready", facts: FACTS, offer: { calls: ["inverses"], methods: [] } });
    }
    case "device":
      return post({
        type: "device",
        id: data.id,
        report: { ...FACTS, memory: { tensors: aborted.length, bytes: 0 } },
      });
    case "abort":
      aborted.push(data.id);
      return;
    case "stop":
      return post({ type: "stopped" });
    case "call":
      return obey(data.id, data.request);
  }
});

function obey(id: number, request: Document): void {
  switch (request.order) {
    case "echo":
      return post({ type: "answer", id, answer: request }, buffersOf(request));
    case "slow":
      setTimeout(() => post({ type: "answer", id, answer: {} }), 200);
      return;
    case "refuse": {
      const facts = { layer: "a", pivot: 3 };
      return post({
        type: "error",
        id,
        error: { code: "not-positive-definite", message: "no", facts },
      });
    }
    case "lose":
      post({ type: "lost", reason: "the GPU fell off" });
      return post({ type: "stopped" });
    case "crash":
      throw new Error("crashed");
    case "hang":
      return;
  }
}
