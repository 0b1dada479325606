/** What is captured, as requests: the server takes every block, and finds the scale of every layer's gradients right. */
import { ok, strictEqual as equal } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { ModelCapture, type StatisticsRequest } from "@/trainer/capture/mod.ts";
import { softmaxCrossEntropy } from "@/trainer/fisher/mod.ts";
import { SessionRequest, validate } from "@/wire/mod.ts";
import { call, ids, type Request, wire } from "../../support/calls.ts";
import { cpuTest } from "../../support/cpu.ts";
import { N, specimen, SPECIMENS } from "./zoo.ts";

const loss = softmaxCrossEntropy();

const toWire = (tensor: tf.Tensor) =>
  (tensor.dtype === "int32" ? ids : wire)(tensor.shape, tensor.dataSync());

/** A request for updates of a specimen's layers, from one captured pass. */
function updatesRequest(name: string, statistics: StatisticsRequest): Request {
  return tf.tidy(() => {
    const { model, inputs, targets } = specimen(name);
    const capture = new ModelCapture(model);
    const lossOf = () => loss.loss(targets, model.apply(inputs, { training: true }) as tf.Tensor);
    const captured = capture.gradients(lossOf, { statistics });
    const layers = capture.blocks.map((block) => {
      const layer = captured.statistics!.layers.get(block.name)!;
      const { gradient, bias_gradient } = block.gradientOf(captured.gradients)!;
      return [block.name, {
        ...block.description,
        inputs: toWire(layer.inputs),
        output_gradients: toWire(layer.outputGradients),
        gradient_scale: layer.gradientScale,
        gradient: toWire(gradient),
        ...(bias_gradient && { bias_gradient: toWire(bias_gradient) }),
      }];
    });
    tf.disposeVariables(); // a model keeps those of a layer that it uses twice
    const { fisher, backprops } = captured.statistics!;
    return {
      layers: Object.fromEntries(layers),
      fisher,
      damping: 0.1,
      ...(backprops > 1 && { backprops }),
    };
  });
}

for (const name of SPECIMENS) {
  cpuTest(`the server finds the captured scale and layout right: ${name}`, async (engine) => {
    const request = updatesRequest(name, { fisher: "empirical" });
    const answer = await call(engine, "updates", request);
    for (const [layer, { kind, inputs }] of Object.entries(request.layers)) {
      const { gradient_check: check, samples } = answer.layers![layer];
      if (kind !== "dense" && kind !== "conv2d") continue;
      // of u uses side by side on the batch axis, g is √u too large for the mean that is checked, u too few
      const uses = (inputs as tf.Tensor).shape[0] / N;
      equal(samples, uses * N);
      ok(Math.abs(check as number - 1 / Math.sqrt(uses)) < 1e-4, `${layer}: ${check}`);
    }
  });

  cpuTest(`the server takes exact statistics of ${name}`, async (engine) => {
    const request = updatesRequest(name, { fisher: "exact", loss });
    const answer = await call(engine, "updates", request);
    for (const layer of Object.values(answer.layers!)) equal(layer.fisher, "exact");
  });

  Deno.test(`a session can be made of ${name} before any pass`, () => {
    tf.tidy(() => {
      const { blocks } = new ModelCapture(specimen(name).model);
      const layers = Object.fromEntries(
        blocks.map(({ name, description, sizes }) => [name, { ...description, ...sizes }]),
      );
      tf.disposeVariables();
      validate(SessionRequest, { method: "kfac", damping: 0.1, layers });
    });
  });
}
