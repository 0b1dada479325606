/**
 * A preconditioner made again from its forms: what is stored, spilled and sent is tensors by name alone.
 *
 * Forms whose damping is free (a basis with its spectrum) take any λ without another factorization; the others
 * (inverses, pencils) hold the λ they were made with.
 *
 * @module
 */
import {
  matMul,
  onesLike,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import { type Stack, trace } from "@/linalg/mod.ts";
import { kroneckerSpectral } from "./eigenbasis.ts";
import { scaledPreconditioner } from "./ekfac.ts";
import { divideRows, embeddingInverse, embeddingSpectral } from "./embedding_block.ts";
import { KroneckerInverse } from "./kronecker_factors.ts";
import type { Layer } from "./layer/mod.ts";
import { blockRows, blockSizes, solveBlocks } from "./mbf.ts";
import type { MethodOptions } from "./method.ts";
import type { NamedTensors } from "./named_tensors.ts";
import { divide } from "./scale_and_shift_block.ts";
import { shampooUpdate } from "./shampoo.ts";
import { solveTwoTerms } from "./two_terms.ts";

/** The forms by which every single-layer preconditioner is told. */
interface Forms {
  readonly A_inv: Stack;
  readonly G_inv: Stack;
  readonly A_diagonal: Tensor1D;
  readonly Q_A: Stack;
  readonly Q_G: Stack;
  readonly lambda_A: Tensor2D;
  readonly lambda_G: Tensor2D;
  readonly S: Tensor3D;
  readonly K_A: Stack;
  readonly s_A: Tensor2D;
  readonly K_G: Stack;
  readonly s_G: Tensor2D;
  readonly F: Tensor1D;
  readonly F_inv: Stack;
  readonly M_inv: Stack;
  readonly bias_moments: Tensor3D;
  readonly L_root: Stack;
  readonly R_root: Stack;
}

/** Applies a preconditioner that is there as its forms; the caller disposes the update and what is made on the way. */
export function applyForms(
  named: NamedTensors,
  layer: Layer,
  options: MethodOptions,
  V: Tensor3D,
): Tensor3D {
  const forms = named as unknown as Forms;
  const { kind, name } = layer;
  if (kind === "embedding") {
    if (forms.A_inv) {
      const A_inv = forms.A_inv as Tensor as Tensor1D; // a diagonal, as A is
      return embeddingInverse({ A_inv, G_inv: forms.G_inv }).apply(V)[0];
    }
    if (forms.Q_G) return embeddingSpectral(forms, options, {}).apply(V)[0];
    return divideRows(forms.A_diagonal, options).apply(V)[0];
  }
  if (forms.F) return divide(forms.F, { options }).apply(V)[0];
  if (forms.F_inv) return matMul(V, forms.F_inv);
  if (forms.M_inv) {
    const rows = blockRows(blockSizes(layer), options.mbfBlocks);
    const blocks = { M_inv: forms.M_inv, biasMoments: forms.bias_moments ?? null };
    return solveBlocks(rows, blocks, options.dampings[0], V);
  }
  if (forms.L_root) return shampooUpdate(forms, V);
  if (forms.K_A) return solveTwoTerms(forms, options, V);
  if (forms.S) return scaledPreconditioner(forms, forms.S, options).apply(V)[0];
  if (forms.Q_A) {
    const pi = onesLike(trace(forms.Q_A)); // of no meaning under the exact rule
    return kroneckerSpectral(forms, forms, pi, options, {}).apply(V)[0];
  }
  if (forms.G_inv) return new KroneckerInverse(forms).apply(V)[0];
  if (forms.A_inv) return matMul(V, forms.A_inv);
  throw new CurvdError("internal", `Layer "${name}" has no preconditioner among its forms`);
}

/** Whether a layer's forms take another λ as they are; SOAP's ε is of its next step. */
export function isDampingFree(named: NamedTensors): boolean {
  return "S" in named || "V" in named || "lambda_G" in named || "F" in named ||
    "A_diagonal" in named;
}
