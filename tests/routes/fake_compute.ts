/** A compute side that answers what a test tells it to, and the app around it. */
import { type CallName, CALLS, type Compute, type DeviceReport } from "../../src/compute/mod.ts";
import { CurvdError } from "../../src/errors.ts";
import { Codec, type Document, tensorOf } from "../../src/wire/mod.ts";
import { type AppOptions, createApp } from "../../routes/mod.ts";

export const DEVICE: DeviceReport = {
  engine: "cpu",
  reason: "There is no WebGPU adapter.",
  adapter: null,
  tuning: null,
  limits: {},
  features: [],
  blas: { library: "openblas", path: "libopenblas.so.0", threads: 2 },
  memory: { tensors: 0, bytes: 0 },
};

export const TIMING = { wait_ms: 0.1, compute_ms: 2, read_ms: 0.5, total_ms: 2.6 };

/** An answer to `inverses`: A_inv as large as asked, filled with one value. */
export function inverseAnswer(d = 2, value = 0.1): Document {
  const A_inv = tensorOf([d, d], new Float32Array(d * d).fill(value));
  return { layers: { fc1: { A_inv, pi: 1 } }, timing: { ...TIMING }, warnings: [] };
}

export type Answering = (
  call: CallName,
  request: Document,
  signal?: AbortSignal,
) => Document | Promise<Document>;

export function fakeCompute(answer: Answering, more: Partial<Compute> = {}): Compute {
  return {
    offer: { calls: CALLS, methods: [{ method: "kfac", paper: "arXiv:1503.05671" }] },
    call: async (call, request, { signal } = {}) => await answer(call, request, signal),
    session: () => Promise.reject(new CurvdError("unsupported", "This fake keeps no sessions")),
    observe: () => () => {},
    watch: () => () => {},
    device: () => Promise.resolve(DEVICE),
    isReady: () => true,
    close: () => Promise.resolve(),
    ...more,
  };
}

type Options = Partial<Compute> & Partial<Omit<AppOptions, "compute" | "codec">>;

/** The app; its codec's Worker is ended with `codec.close()`. */
export function appWith(
  answer: Answering = () => inverseAnswer(),
  { maxBodyBytes = 2 ** 20, keyring, origins, names, isDraining, admission, ...more }: Options = {},
) {
  const codec = new Codec();
  const app = createApp({
    compute: fakeCompute(answer, more),
    codec,
    maxBodyBytes,
    keyring,
    origins,
    names,
    isDraining,
    admission,
  });
  return Object.assign(app, { codec });
}

export const JSON_HEADERS = { "content-type": "application/json" };

/** A valid request to `inverses`. */
export const INVERSES = JSON.stringify({ layers: { fc1: { A: [[2, 0], [0, 3]] } }, damping: 0.1 });
