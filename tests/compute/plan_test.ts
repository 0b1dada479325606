/** A plan against what a session then takes: held by the host, alive on the device, sent over the wire. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { memory, type Tensor } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { type Document, encodeDocument, PLAIN_OUTPUT, SESSION_METHODS } from "@/wire/mod.ts";
import { withSessions } from "../sessions/support.ts";
import { call, type RequestLayer } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { convLayer, denseLayer } from "../support/layer_cases.ts";
import { joined } from "../wire/bytes.ts";

interface Model {
  readonly n: number;
  readonly layers: Readonly<Record<string, RequestLayer>>;
}

/** More of the batch, more of the factors, and a convolution. */
const MODELS: Record<string, Model> = {
  "of a large batch": {
    n: 128,
    layers: {
      a: denseLayer({ n: 128, dIn: 64, dOut: 48, seed: 1 }),
      b: denseLayer({ n: 128, dIn: 48, dOut: 24, bias: false, layout: "io", seed: 2 }),
    },
  },
  "of wide layers": { n: 32, layers: { a: denseLayer({ n: 32, dIn: 120, dOut: 90, seed: 3 }) } },
  "of a convolution": {
    n: 16,
    layers: {
      a: convLayer({ n: 16, channels: 6, filters: 20, image: [9, 9], kernel: [3, 3], seed: 4 }),
    },
  },
};

const TENSORS = ["inputs", "output_gradients", "gradient", "bias_gradient"];
const GRADIENTS = ["gradient", "bias_gradient"];
const BATCH_WORDS = ["fisher", "gradient_scale", "sharing", "activations"];

function pick(layer: RequestLayer, keeps: (field: string) => boolean): Record<string, unknown> {
  return Object.fromEntries(Object.entries(layer).filter(([field]) => keeps(field)));
}

/** A description with the sizes that the tensors have. */
function described(layer: RequestLayer): Record<string, unknown> {
  const { inputs, output_gradients: grads } = layer as Record<string, { shape: number[] }>;
  const words = pick(layer, (field) => ![...TENSORS, ...BATCH_WORDS].includes(field));
  return layer.kind === "dense"
    ? { ...words, d_in: inputs.shape[1], d_out: grads.shape[1] }
    : { ...words, c_in: inputs.shape[1], c_out: grads.shape[1], image: inputs.shape.slice(2) };
}

function within(actual: number, planned: number, what: string): void {
  ok(Math.abs(planned / actual - 1) <= 0.15, `${what}: planned ${planned}, taken ${actual}`);
}

/** An engine without insides of its own that tells of each read. */
function watching(engine: Engine, onRead: () => void): Engine {
  const watched = (call: "read" | "take") => ({
    value: (tensors: readonly Tensor[]) => {
      onRead();
      return engine[call](tensors);
    },
  });
  return Object.create(engine, { read: watched("read"), take: watched("take") });
}

/** What three steps of a session take of everything; the last refreshes. */
async function taken(engine: Engine, method: string, { n, layers }: Model) {
  const each = <T>(of: (layer: RequestLayer) => T) =>
    Object.fromEntries(Object.entries(layers).map(([name, layer]) => [name, of(layer)]));
  const isOfGradients = method === "shampoo" || method === "soap";
  const sent = each((layer) =>
    pick(layer, (field) => (isOfGradients ? GRADIENTS : TENSORS).includes(field))
  );
  const sizes = each(described);
  // what is alive when an answer is read back is what a step takes at most
  let most = 0;
  const watched = watching(engine, () => most = Math.max(most, memory().numBytes));
  let figures = { session: 0, device: 0, wire: 0, plan: {} as Document };
  await withSessions(watched, async ({ expect, host }) => {
    const empty = memory().numBytes;
    const creation = { id: "s", method, layers: sizes, damping: 0.1, refresh: { every: 2 } };
    await expect("POST", "", creation);
    let wire = 0;
    for (let step = 0; step < 3; step++) {
      most = 0;
      const request = { layers: sent };
      wire = joined(encodeDocument(request, "safetensors", PLAIN_OUTPUT)).length;
      const answer = await expect("POST", "/s/steps", request);
      wire +=
        joined(encodeDocument({ layers: answer.layers! }, "safetensors", PLAIN_OUTPUT)).length;
      if (step === 1) figures = { ...figures, session: host.bytes() };
    }
    const plan = await call(engine, "plan", { layers: sizes, method, n });
    figures = { ...figures, device: most - empty, wire, plan };
  });
  return figures;
}

for (const [kind, model] of Object.entries(MODELS)) {
  cpuTest(
    `a plan ${kind} is within 15 % of what a session of each method takes`,
    async (engine) => {
      for (const method of SESSION_METHODS) {
        if (method === "kfac_tridiagonal" && kind === "of a convolution") continue;
        const { session, device, wire, plan } = await taken(engine, method, model);
        const { bytes, fits } = plan as unknown as {
          bytes: Record<"session" | "device" | "wire", number>;
          fits: boolean;
        };
        within(session, bytes.session, `${method}, session`);
        within(device, bytes.device, `${method}, device`);
        const isOfGradients = method === "shampoo" || method === "soap"; // no batch is sent
        if (!isOfGradients) within(wire, bytes.wire, `${method}, wire`);
        equal(fits, true);
      }
    },
  );
}
