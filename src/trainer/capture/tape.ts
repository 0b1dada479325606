/**
 * One forward pass, several backward passes.
 *
 * TensorFlow.js keeps its tape, and what a gradient needs of the forward pass, for as long as a gradient
 * around it is being taken. So a forward pass recorded within one can be differentiated as often as wanted.
 *
 * @module
 */
import { customGrad, engine, keep, scalar, type Tensor, tidy } from "@tensorflow/tfjs";

/**
 * Runs `compute` with the tape open, so that {@linkcode backward} can be called within it.
 *
 * @returns what it returns; of tensors made within, only kept ones live on.
 */
export function taped<T>(compute: () => T): T {
  let result!: T;
  tidy(() => {
    const nothing = scalar(0);
    engine().gradients(
      () => {
        result = compute();
        return nothing;
      },
      [nothing],
      undefined,
      true,
    );
  });
  return result;
}

/**
 * Runs `compute` without recording it: a backward pass needs no second derivatives.
 *
 * @returns what it returns; of tensors made within, only kept ones live on.
 */
export function untaped<T>(compute: () => T): T {
  let result!: T;
  tidy(() => {
    // the inside of an operation is not recorded
    const operation = customGrad((x) => {
      result = compute();
      return { value: (x as Tensor).clone(), gradFunc: (dy: Tensor) => dy };
    });
    operation(scalar(0));
  });
  return result;
}

/**
 * `Σ dy ∂y/∂x` for each x, over what {@linkcode taped} has recorded so far. What leads to no x is not
 * differentiated: with no kernel among them, no kernel's gradient is formed.
 *
 * @param xs variables, or tensors of the forward pass; these may be disposed, the tape knows them.
 * @param dy of y's shape; 1 for a scalar y if absent.
 * @returns kept tensors that the caller disposes; null for an x that y does not depend on.
 */
export function backward(y: Tensor, xs: readonly Tensor[], dy?: Tensor): (Tensor | null)[] {
  if (xs.length === 0) return [];
  return untaped(() => {
    const { grads } = engine().gradients(() => y, [...xs], dy, true);
    return grads.map((grad) => grad ? keep(grad.clone()) : null);
  });
}
