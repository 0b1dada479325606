/**
 * `/v2`: the Open Inference Protocol over the native calls, for clients of Triton and KServe.
 *
 * A model is a stateless call, and has one version. Errors are the protocol's.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import type { CallName } from "@/compute/mod.ts";
import { CurvdError } from "@/errors.ts";
import { MODEL_VERSION, modelMetadata } from "@/wire/mod.ts";
import { onInferenceError } from "./error.ts";
import { type Handler, infer } from "./infer.ts";

const MODEL = "/models/:model";

/**
 * @param calls the native handlers of the calls on offer.
 * @param health the native health routes.
 */
export function inferenceRoutes(calls: ReadonlyMap<CallName, Handler>, health: Hono): Hono {
  const app = new Hono({ strict: false });
  app.onError(onInferenceError);

  app.get("/", (c) => {
    const extensions = ["binary_tensor_data"];
    return c.json({ name: "curvd", version: MODEL_VERSION, extensions });
  });
  app.use("/health/:state", async function inTheProtocolsWords(c, next) {
    const state = c.req.param("state"); // of this pattern; after next() it is another's
    await next();
    if (c.res.ok) c.res = c.json({ [state]: true });
  });
  app.route("/health", health);

  for (const path of [MODEL, `${MODEL}/versions/:version`]) {
    app.get(path, (c) => c.json(modelMetadata(callOf(c, calls).name)));
    app.get(`${path}/ready`, async (c) => {
      const { name } = callOf(c, calls);
      const { status } = await app.request("/health/ready");
      return c.json({ name, ready: status === 200 }, status === 200 ? 200 : 503);
    });
    app.post(`${path}/infer`, (c) => {
      const { name, handler } = callOf(c, calls);
      return infer(c, name, handler);
    });
  }
  return app;
}

/** The call that the path names. @throws CurvdError `not-found`, listing those on offer. */
function callOf(c: Context, calls: ReadonlyMap<CallName, Handler>) {
  const { model = "", version = MODEL_VERSION } = c.req.param();
  const name = model as CallName;
  const handler = calls.get(name);
  if (handler === undefined || version !== MODEL_VERSION) {
    throw new CurvdError("not-found", `There is no model "${model}" of version "${version}"`, {
      value: model,
      suggestion: `one of ${[...calls.keys()].join(", ")}, of version ${MODEL_VERSION}`,
    });
  }
  return { name, handler };
}
