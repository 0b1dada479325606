/**
 * What holds of every method on every kind of layer: the contract that a client of all of them relies on.
 *
 * Each cell of the table method × kind is tried: offered ones answer, refused ones say so. Deviations stand beside their law with
 * the reason.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { METHODS } from "@/curvature/mod.ts";
import type { WireTensor } from "@/wire/mod.ts";
import { call, refused, type RequestLayer, wire } from "../support/calls.ts";
import type { EngineTest } from "../support/cpu.ts";
import {
  type Cell,
  cells,
  changed,
  type Choice,
  otherLayout,
  permuted,
  update,
  updatesIn,
} from "./cells.ts";
import { expectClose } from "./dense_oracle.ts";

const SWEEP = [0.05, 0.2, 3];

/** Declares the contract of all cells, or of those chosen. */
export function contract(test: EngineTest, isChosen: Choice = () => true): void {
  for (const cell of cells().filter(isChosen)) {
    if (cell.isOffered) offered(test, cell);
    else refusal(test, cell);
  }
}

function refusal(test: EngineTest, { method, kind, request }: Cell): void {
  test(`${method} refuses ${kind} layers by name and says what it takes`, async (engine) => {
    const [layer] = Object.keys(request.layers);
    const error = await refused(call(engine, "updates", request), "unsupported", { layer });
    const names = `${error.message} ${error.facts.suggestion}`;
    ok(error.message.includes(`"${layer}"`), error.message);
    ok(
      METHODS[method].layers.some((offered) => names.includes(offered)) || names.includes("reduce"),
      `nothing is offered instead: ${names}`,
    );
  });
}

function offered(test: EngineTest, { method, kind, request }: Cell): void {
  const isCoupled = METHODS[method].isCoupled;

  test(`${method} on ${kind} answers a finite update of its gradient's shape, twice the same`, async (engine) => {
    const answer = await call(engine, "updates", request);
    for (const [name, layer] of Object.entries(request.layers)) {
      for (const field of ["update", "bias_update"]) {
        const found = answer.layers![name][field] as WireTensor | undefined;
        const like = layer[field === "update" ? "gradient" : "bias_gradient"] as typeof found;
        deepEqual(found?.shape, like?.shape);
        ok(found === undefined || found.data.every(Number.isFinite), `${name} ${field}`);
      }
    }
    const again = await call(engine, "updates", request);
    for (const name of Object.keys(request.layers)) {
      deepEqual(again.layers![name].update, answer.layers![name].update);
      deepEqual(again.layers![name].bias_update, answer.layers![name].bias_update);
    }
  });

  if (otherLayout(Object.values(request.layers)[0])) {
    test(`${method} on ${kind} gives the same update in either layout`, async (engine) => {
      const other = changed(request, (layer) => otherLayout(layer)!);
      const answer = await call(engine, "updates", other);
      const back = Object.fromEntries(
        Object.entries(answer.layers!).map(([name, fields]) => [
          name,
          { ...fields, update: permuted(fields.update, firstLayout(request.layers[name])) },
        ]),
      );
      const [found] = updatesIn(request, { ...answer, layers: back });
      expectClose("update", found, await update(engine, request));
    });
  }

  test(`${method} on ${kind} answers a list of dampings as single calls do`, async (engine) => {
    const sweep = { ...request, damping: SWEEP };
    const answer = await call(engine, "updates", sweep);
    const found = updatesIn(sweep, answer);
    for (const [i, damping] of SWEEP.entries()) {
      const single = { ...request, damping };
      const alone = await call(engine, "updates", single);
      expectClose(`damping ${damping}`, found[i], updatesIn(single, alone)[0], 5e-5);
      const inner = (answer.inner_product as number[])[i];
      expectClose("inner_product", [inner], [alone.inner_product as number], 5e-5);
    }
    const one = await call(engine, "updates", { ...request, damping: [SWEEP[1]] });
    ok(Array.isArray(one.inner_product) && one.inner_product.length === 1);
  });

  test(`${method} on ${kind} with a layer that fails ${isCoupled ? "cannot skip it" : "skips it"}`, async (engine) => {
    const [name, layer] = Object.entries(request.layers)[0];
    const broken = { ...layer, gradient: withNaN(layer.gradient as WireTensor) };
    const layers = { ...request.layers, broken };
    const facts = { layer: "broken", tensor: "gradient" };
    await refused(call(engine, "updates", { ...request, layers }), "not-finite", facts);
    const skipping = { ...request, layers, on_error: "skip" };
    if (isCoupled) {
      await refused(call(engine, "updates", skipping), "unsupported", { value: "skip" });
      return;
    }
    const answer = await call(engine, "updates", skipping);
    const alone = await call(engine, "updates", request);
    deepEqual(answer.layers![name].update, alone.layers![name].update);
    const { code, facts: found } = answer.layers!.broken.error as {
      code: string;
      facts: Record<string, unknown>;
    };
    deepEqual([code, found.layer, found.tensor], ["not-finite", "broken", "gradient"]);
    ok((answer.warnings as string[]).some((warning) => warning.includes("broken")));
  });
}

/** The order of axes that brings {@linkcode otherLayout} back. */
function firstLayout({ kind }: RequestLayer): number[] {
  return kind === "dense" ? [1, 0] : [3, 2, 0, 1];
}

function withNaN({ shape, data }: WireTensor): WireTensor {
  return wire(shape, Array.from(data, (value, at) => at === data.length - 1 ? NaN : value));
}
