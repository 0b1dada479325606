/**
 * The updates of a call as they are answered: clipped over the whole model, read in one go, in their gradients' layouts.
 *
 * @module
 */
import {
  mul,
  scalar,
  slice,
  stack,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import { klClipFactor } from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Gradient, Observation, SessionState, Taken } from "@/sessions/mod.ts";
import { type Document, tensorOf } from "@/wire/mod.ts";
import type { SessionInput } from "./session_inputs.ts";
import { quadraticOf, total } from "./session_quadratic.ts";
import { expectFiniteResult, type Made } from "./session_transaction.ts";

/** Parameters of `updates` and `steps`. */
export interface UpdateParameters {
  readonly learning_rate?: number;
  readonly before_refresh?: "identity";
  readonly step_size?: "quadratic_model";
  readonly l2?: number;
}

/** What a call answers beside counters and timing, and what is to happen next. */
export interface StepAnswer {
  readonly fields: Document;
  readonly isRefreshed: boolean;
  readonly isDue: boolean;
  /** ⟨update, gradient⟩ of each layer, and the learning rate that was said: what is told of a step to those who watch. */
  readonly innerProducts?: Readonly<Record<string, number>>;
  readonly learningRate?: number;
}

/** The answer of a call without updates. */
export function answerOf({ isRefreshed, isDue }: Taken, fields: Document): StepAnswer {
  return { fields: { ...fields, refreshed: isRefreshed }, isRefreshed, isDue };
}

/** Clips, reads and names the updates; with a step size, the quadratic model's. */
export function answered(
  inputs: ReadonlyMap<string, SessionInput>,
  taken: Taken,
  gradients: ReadonlyMap<string, Gradient>,
  updates: ReadonlyMap<string, Tensor3D>,
  parameters: UpdateParameters,
  observations: ReadonlyMap<string, Observation>,
  more: Document = {},
): Made<StepAnswer> {
  const each = [...updates].map(([name, U]): Tensor => sum(mul(U, gradients.get(name)!.V)));
  const inner = total(each);
  const nu = clipOf(taken.state, inner, parameters);
  const clipped = new Map(
    [...updates].map(([name, U]): [string, Tensor3D] => [name, nu ? mul(U, slice(nu, 0, 1)) : U]),
  );
  const read: Record<string, Tensor> = {
    "numbers": stack([
      sum(nu ? mul(inner, nu) : inner),
      nu ? sum(nu) : scalar(1),
    ]),
    "inner products": stack(each),
  };
  const parts = new Map<string, { shape: number[]; biasShape?: number[] }>();
  for (const [name, U] of clipped) {
    const { update, biasUpdate } = inputs.get(name)!.prepared.layer.fromMatrix(U);
    parts.set(name, { shape: update.shape, biasShape: biasUpdate?.shape });
    read[`update ${name}`] = update.clone();
    if (biasUpdate) read[`bias ${name}`] = biasUpdate.clone();
  }
  const quadratic = parameters.step_size === undefined
    ? null
    : quadraticOf(taken.state, gradients, clipped, observations, parameters);
  Object.assign(read, quadratic?.read);
  return {
    state: taken.state,
    read,
    finish: (arrays) => {
      const [innerProduct, factor] = arrays.numbers;
      const layers = Object.fromEntries([...parts].map(([name, { shape, biasShape }]) => {
        const part = (field: string, from: string, of: number[]) => {
          const values = expectFiniteResult(arrays[`${from} ${name}`], {
            layer: name,
            tensor: field,
          });
          return tensorOf(of, values);
        };
        return [name, {
          update: part("update", "update", shape),
          ...(biasShape ? { bias_update: part("bias_update", "bias", biasShape) } : {}),
        }];
      }));
      const step = quadratic?.finish(arrays);
      const fields: Document = {
        layers,
        inner_product: innerProduct,
        ...(nu ? { kl_clip_factor: factor } : {}),
        ...step?.fields,
        ...more,
      };
      const innerProducts = Object.fromEntries(
        [...updates.keys()].map((name, l) => [name, factor * arrays["inner products"][l]]),
      );
      const { learning_rate: learningRate } = parameters;
      const answer = { ...answerOf(taken, fields), innerProducts, learningRate };
      return { answer, state: step?.state };
    },
  };
}

/** The KL clip of the session's κ. @throws CurvdError `invalid-request` without a learning rate. */
function clipOf(
  { settings: { kl_clip: kappa } }: SessionState,
  inner: Tensor1D,
  { learning_rate: learningRate }: UpdateParameters,
): Tensor1D | null {
  if (kappa === null) return null;
  if (learningRate === undefined) {
    throw new CurvdError(
      "invalid-request",
      "The session clips (kl_clip): learning_rate is needed",
      {
        pointer: "/learning_rate",
      },
    );
  }
  return klClipFactor(inner, { kappa, learningRate });
}
