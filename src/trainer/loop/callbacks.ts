/**
 * TensorFlow.js's callbacks, in any of the forms that `model.fit` takes, called in turn.
 *
 * @module
 */
import type { Callback, CustomCallbackArgs, LayersModel, Logs } from "@tensorflow/tfjs";

/** A callback object (`tf.callbacks.earlyStopping()`), functions by name, or several of either. */
export type Callbacks =
  | CallbackObject
  | CustomCallbackArgs
  | readonly (CallbackObject | CustomCallbackArgs)[];

/** What tells TensorFlow.js's own callback classes; their hooks have the names of the functions. */
interface CallbackObject {
  setModel(model: Container): void;
  setParams(params: Record<string, unknown>): void;
}

type Container = Parameters<Callback["setModel"]>[0];

type Hook =
  | "onTrainBegin"
  | "onTrainEnd"
  | "onEpochBegin"
  | "onEpochEnd"
  | "onBatchBegin"
  | "onBatchEnd";

export class CallbackList {
  readonly #callbacks: readonly (CallbackObject | CustomCallbackArgs)[];
  #isStopped = false;

  constructor(
    callbacks: Callbacks | undefined,
    model: LayersModel,
    params: Record<string, unknown>,
  ) {
    this.#callbacks = callbacks === undefined ? [] : [callbacks].flat() as CallbackObject[];
    // a Sequential that was never compiled throws where it is told to stop: callbacks see one that does not
    const stoppable = new Proxy(model, {
      set: (target, field, value) => {
        if (field !== "stopTraining") return Reflect.set(target, field, value);
        this.#isStopped = value;
        return true;
      },
    });
    for (const callback of this.#callbacks) {
      if (!("setModel" in callback)) continue;
      callback.setParams(params);
      callback.setModel(stoppable);
    }
  }

  /** Whether a callback has set `stopTraining` of its model. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Calls a hook of every callback, and waits for each. */
  async call(hook: Hook, ...args: [Logs] | [number, Logs]): Promise<void> {
    for (const callback of this.#callbacks) {
      const own = (callback as CustomCallbackArgs)[hook] as
        | ((...args: unknown[]) => unknown)
        | undefined;
      await own?.apply(callback, args);
    }
  }
}
