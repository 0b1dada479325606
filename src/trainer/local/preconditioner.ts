/**
 * The preconditioner of a whole model, held by the client: what `GET preconditioner` answered, as tensors.
 *
 *   ν = min(1, √(κ / |η² Σ ⟨U, V⟩|))
 *
 * Source of the clip: Ba, Grosse & Martens 2017 as in kfac-pytorch.
 *
 * @module
 */
import {
  abs,
  div,
  minimum,
  mul,
  type NamedTensorMap,
  type Scalar,
  scalar,
  sqrt,
  sum,
  type Tensor,
  type TensorContainerObject,
  tidy,
} from "@tensorflow/tfjs";
import type { BlockGradient, LayerBlock } from "../capture/mod.ts";
import type { SessionTensors } from "../client/mod.ts";
import { fromMatrix, toMatrix } from "./matrices.ts";
import { type Solver, solverOf } from "./solvers.ts";

/** A clip's κ and the η of the step that it bounds. */
export interface Clip {
  readonly kappa: number;
  readonly learningRate: number;
}

export interface Preconditioned {
  /** By variable name; the caller disposes them. */
  readonly updates: NamedTensorMap;
  /** ν, already applied; the caller disposes it. Null without a clip. */
  readonly klFactor: Scalar | null;
}

export class LocalPreconditioner {
  readonly version: number;
  readonly damping: number;
  readonly #solvers: ReadonlyMap<string, Solver>;

  /**
   * @param blocks of the model; those that the document does not have are left out.
   * @throws RangeError for forms that only the server can apply.
   */
  constructor(document: SessionTensors, private readonly blocks: readonly LayerBlock[]) {
    const { damping, floor, indefinite } = document as unknown as {
      damping: number;
      floor?: number;
      indefinite?: string;
    };
    this.version = document.version;
    this.damping = damping;
    this.#solvers = new Map(
      blocks.filter(({ name }) => Object.keys(document.layers[name] ?? {}).length > 0)
        .map(({ name, description }) => {
          const fields = document.layers[name];
          return [name, solverOf(name, description, { fields, damping, floor, indefinite })];
        }),
    );
  }

  /**
   * Preconditions the gradients of the blocks that it knows, at once and without waiting for a value.
   *
   * @param gradients by block name; stay the caller's.
   */
  apply(gradients: ReadonlyMap<string, BlockGradient>, clip: Clip | null): Preconditioned {
    return tidy(() => {
      const solved = this.blocks.flatMap((block) => {
        const gradient = gradients.get(block.name);
        const solver = this.#solvers.get(block.name);
        if (!gradient || !solver) return [];
        const V = toMatrix(block.description, gradient);
        return [{ block, gradient, V, U: solver.solve(V) }];
      });
      const klFactor = clip && solved.length > 0 ? clipFactor(solved, clip) : null;
      const updates: NamedTensorMap = {};
      for (const { block, gradient, U } of solved) {
        const clipped = klFactor ? mul(U, klFactor) : U;
        const update = fromMatrix(block.description, clipped, gradient);
        Object.assign(updates, block.updateOf(update));
      }
      return { updates, klFactor } as Preconditioned & TensorContainerObject;
    });
  }

  dispose(): void {
    for (const solver of this.#solvers.values()) solver.dispose();
  }
}

function clipFactor(
  solved: readonly { readonly U: Tensor; readonly V: Tensor }[],
  { kappa, learningRate }: Clip,
): Scalar {
  const inner = solved.map(({ U, V }) => sum(mul(U, V)) as Scalar)
    .reduce((total, each) => total.add(each) as Scalar);
  return minimum(scalar(1), div(Math.sqrt(kappa) / learningRate, sqrt(abs(inner)))) as Scalar;
}
