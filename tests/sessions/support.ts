/** Sessions as HTTP has them: routes, schemas and codec around a host in this process, its store in memory. */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { memory } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { startStore, type Store, StoreClient } from "@/sessions/mod.ts";
import {
  Codec,
  decodeDocument,
  type Document,
  encodeDocument,
  isTensor,
  PLAIN_OUTPUT,
  tensorOf,
  type WireTensor,
} from "@/wire/mod.ts";
import { createApp } from "../../routes/mod.ts";
import { SessionHost } from "../../src/compute/session_host.ts";
import type { LogLimits } from "../../src/compute/session_journal.ts";
import type { SessionEvent } from "../../src/compute/session_protocol.ts";
import { fakeCompute } from "../routes/fake_compute.ts";
import { joined } from "../wire/bytes.ts";

const SAFETENSORS = "application/vnd.safetensors";

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Document;
}

export interface Client {
  /** A request whose document goes and comes as safetensors. */
  send(
    method: string,
    path: string,
    document?: Document,
    headers?: Record<string, string>,
  ): Promise<Answered>;
  /** The same; anything but success fails the test. */
  expect(
    method: string,
    path: string,
    document?: Document,
    headers?: Record<string, string>,
  ): Promise<Document>;
  /** A request as it is. */
  request(path: string, init?: RequestInit): Promise<Response>;
  readonly host: SessionHost;
  /** Pays all debts: slices of refreshes, snapshots. */
  settle(): Promise<void>;
  /** The server ends without a word and another starts on the same store. */
  restart(): Promise<void>;
  readonly events: { session: string; event: SessionEvent }[];
}

/** Runs with sessions; afterwards no tensor is left. */
export async function withSessions(
  engine: Engine,
  run: (client: Client) => Promise<void>,
  { path = ":memory:", budgetBytes = Infinity, logLimits, storeOf = (store) => store }: {
    path?: string;
    budgetBytes?: number;
    logLimits?: LogLimits;
    /** What the host is to take for its store. */
    storeOf?: (store: Store) => Store;
  } = {},
): Promise<void> {
  const before = memory().numTensors;
  const store = await startStore(path);
  const codec = new Codec();
  const events: Client["events"] = [];
  const watchers = new Set<(session: string, event: SessionEvent) => void>();
  const open = async () => {
    const host = new SessionHost({
      engine,
      store: storeOf(new StoreClient(store.connect())),
      budgetBytes,
      logLimits,
      emit: (session, event) => {
        events.push({ session, event });
        for (const watcher of watchers) watcher(session, event);
      },
    });
    await host.start();
    return host;
  };
  let host = await open();
  const compute = fakeCompute(() => ({}), {
    session: (call) => host.answer(call),
    watch: (listener) => {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
  });
  const app = createApp({ compute, codec, maxBodyBytes: 2 ** 28 });
  const client: Client = {
    get host() {
      return host;
    },
    events,
    request: async (path, init) => await app.request(`/v1/sessions${path}`, init),
    async send(method, path, document, headers = {}) {
      const body = document && joined(encodeDocument(document, "safetensors", PLAIN_OUTPUT));
      const response = await app.request(`/v1/sessions${path}`, {
        method,
        body,
        headers: {
          ...(body ? { "content-type": SAFETENSORS } : {}),
          accept: SAFETENSORS,
          ...headers,
        },
      });
      const bytes = await response.bytes();
      const isFile = response.headers.get("content-type") === SAFETENSORS;
      const answer = bytes.length === 0
        ? {}
        : isFile
        ? decodeDocument(bytes, "safetensors")
        : JSON.parse(new TextDecoder().decode(bytes));
      return { status: response.status, headers: response.headers, body: answer };
    },
    async expect(...request) {
      const { status, body } = await client.send(...request);
      if (status >= 300) throw new Error(`${request[0]} ${request[1]}: ${JSON.stringify(body)}`);
      return body;
    },
    async settle() {
      for (let debt = host.debt(); debt; debt = host.debt()) await debt();
    },
    async restart() {
      host.abandon();
      host = await open();
    },
  };
  try {
    await run(client);
  } finally {
    await host.close();
    await store.close();
    codec.close();
  }
  equal(memory().numTensors, before, "sessions left tensors behind");
}

/** A tensor of float32 values. */
export function values(shape: number[], data: ArrayLike<number>): WireTensor {
  return tensorOf(shape, Float32Array.from(data));
}

/** A tensor of an answer. */
export function tensorIn(answer: Document, layer: string, field: string): WireTensor {
  const leaf = answer.layers![layer]?.[field];
  if (!isTensor(leaf)) {
    throw new Error(`${layer} has no ${field}: ${Object.keys(answer.layers![layer] ?? {})}`);
  }
  return leaf;
}

export { deepEqual, equal };
