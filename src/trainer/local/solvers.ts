/**
 * A preconditioner as the server sends it, applied with TensorFlow.js: `U = (F̂ + damping)⁻¹ V`.
 *
 *   inverses            U = A⁻¹ V G⁻¹
 *   basis and spectrum  U = Q_A [ (Q_Aᵀ V Q_G) / (S + λ) ] Q_Gᵀ,   S = λ_A λ_Gᵀ or measured
 *   two terms           U = K_A [ (K_Aᵀ V K_G) / max(1 + s_A s_Gᵀ, floor) ] K_Gᵀ
 *
 * V and U are `[d_in, d_out]`, the server's transposed (see matrices.ts), or stacks of such; `S` is turned
 * round once when it arrives.
 *
 * @module
 */
import {
  abs,
  add,
  dispose,
  div,
  expandDims,
  keep,
  matMul,
  maximum,
  mul,
  reshape,
  type Tensor,
  tidy,
  transpose,
} from "@tensorflow/tfjs";
import {
  isTensor,
  packedSide,
  tensorOf,
  unpackSymmetric,
  type WireTensor,
} from "@/wire/documents.ts";
import type { BlockDescription } from "../capture/mod.ts";
import { fromWire } from "../wire_tensors.ts";
import { solveMiniBlocks } from "./mini_blocks.ts";

/** What a layer of `GET preconditioner` holds, and the words that stand beside all layers. */
export interface Forms {
  readonly fields: Readonly<Record<string, unknown>>;
  /** λ. */
  readonly damping: number;
  readonly floor?: number;
  readonly indefinite?: string;
}

/** `V → U`, with tensors of its own. */
export interface Solver {
  /** The caller disposes U. */
  solve(V: Tensor): Tensor;
  dispose(): void;
}

type Named = Readonly<Record<string, Tensor>>;

/**
 * A layer's solver; it disposes what it has made of the forms.
 *
 * @throws RangeError for forms that are not known here.
 */
export function solverOf(name: string, description: BlockDescription, forms: Forms): Solver {
  const tensors: Named = Object.fromEntries(
    Object.entries(forms.fields).flatMap(([field, leaf]) =>
      isTensor(leaf) ? [[field, fromWire(unpacked(field, leaf, description))]] : []
    ),
  );
  let chosen: Chosen | undefined;
  try {
    tidy(() => {
      chosen = choose(name, description, tensors, forms);
      chosen.made.forEach((tensor) => keep(tensor));
    });
  } catch (error) {
    dispose(tensors);
    throw error;
  }
  const { solve, made } = chosen!;
  return { solve: (V) => tidy(() => solve(V)), dispose: () => dispose([tensors, ...made]) };
}

/** An inverse as a matrix, where it came as its upper triangle. */
function unpacked(field: string, tensor: WireTensor, description: BlockDescription): WireTensor {
  if (field !== "A_inv" && field !== "G_inv") return tensor;
  if (description.kind === "embedding" && field === "A_inv") return tensor; // a diagonal
  const isGrouped = description.kind === "conv2d" && description.groups > 1;
  const { shape, data } = tensor;
  const side = packedSide(shape.at(-1)!);
  if (shape.length !== (isGrouped ? 2 : 1) || side === undefined) return tensor;
  const matrices = new Float32Array(data.length / shape.at(-1)! * side ** 2);
  for (let at = 0; at < data.length / shape.at(-1)!; at++) {
    const packed = data.subarray(at * shape.at(-1)!, (at + 1) * shape.at(-1)!) as Float32Array;
    matrices.set(unpackSymmetric(packed, side), at * side ** 2);
  }
  return tensorOf([...shape.slice(0, -1), side, side], matrices);
}

interface Chosen {
  readonly solve: (V: Tensor) => Tensor;
  /** Tensors derived from the forms, kept as long as these. */
  readonly made: readonly Tensor[];
}

function choose(
  name: string,
  description: BlockDescription,
  forms: Named,
  words: Forms,
): Chosen {
  if (words.damping === 0 && !("A_inv" in forms) && !("K_A" in forms) && !("M_inv" in forms)) {
    throw new RangeError(
      `Cannot precondition layer "${name}" locally without damping: only the server tells rounding ` +
        "from small eigenvalues",
    );
  }
  if (description.kind === "embedding") return chooseForTable(name, forms, words);
  if ("F" in forms) {
    const { made, solve } = divided(forms.F, words.damping);
    return { made, solve };
  }
  if ("M_inv" in forms) {
    const { damping } = words;
    return { made: [], solve: (V) => solveMiniBlocks(description, forms, damping, V) };
  }
  if ("K_A" in forms) return twoTerms(forms, words);
  if ("S" in forms) return spectral(forms, transposed(forms.S), words.damping);
  if ("Q_A" in forms) {
    return spectral(forms, outer(forms.lambda_A, forms.lambda_G), words.damping);
  }
  if ("G_inv" in forms) {
    return { made: [], solve: (V) => matMul(matMul(forms.A_inv, V), forms.G_inv) };
  }
  if ("A_inv" in forms) return { made: [], solve: (V) => matMul(forms.A_inv, V) };
  throw unknown(name, forms);
}

/** A table `[vocabulary, d_out]`: its input factor is a diagonal. */
function chooseForTable(name: string, forms: Named, { damping }: Forms): Chosen {
  const rows = (diagonal: Tensor) => reshape(diagonal, [-1, 1]);
  if ("A_inv" in forms) {
    const { A_inv, G_inv } = forms;
    return { made: [], solve: (V) => matMul(mul(V, rows(A_inv)), G_inv) };
  }
  if ("Q_G" in forms) {
    const { A_diagonal, Q_G, lambda_G } = forms;
    const damped = add(outer(A_diagonal, lambda_G), damping);
    const solve = (V: Tensor) => matMul(div(matMul(V, Q_G), damped), Q_G, false, true);
    return { made: [damped], solve };
  }
  if ("A_diagonal" in forms) return divided(rows(forms.A_diagonal), damping);
  throw unknown(name, forms);
}

function divided(diagonal: Tensor, damping: number): Chosen {
  const damped = add(diagonal, damping);
  return { made: [damped], solve: (V) => div(V, damped) };
}

function spectral({ Q_A, Q_G }: Named, S: Tensor, damping: number): Chosen {
  const damped = add(S, damping);
  return {
    made: [damped],
    solve: (V) => through(Q_A, Q_G, V, (projected) => div(projected, damped)),
  };
}

function twoTerms({ K_A, K_G, s_A, s_G }: Named, { floor, indefinite }: Forms): Chosen {
  const damped = indefinite === "abs_factors"
    ? add(outer(abs(s_A), abs(s_G)), 1)
    : maximum(add(outer(s_A, s_G), 1), floor!);
  return {
    made: [damped],
    solve: (V) => through(K_A, K_G, V, (projected) => div(projected, damped)),
  };
}

/** `X [ scale(Xᵀ V Y) ] Yᵀ`. */
function through(X: Tensor, Y: Tensor, V: Tensor, scale: (projected: Tensor) => Tensor): Tensor {
  const projected = matMul(matMul(X, V, true), Y);
  return matMul(matMul(X, scale(projected)), Y, false, true);
}

/** `x yᵀ` of vectors `[d]`, or of stacks of them `[groups, d]`. */
function outer(x: Tensor, y: Tensor): Tensor {
  return mul(expandDims(x, -1), expandDims(y, -2));
}

/** The last two axes exchanged. */
function transposed(S: Tensor): Tensor {
  return transpose(S, S.rank === 3 ? [0, 2, 1] : [1, 0]);
}

function unknown(name: string, forms: Named): RangeError {
  return new RangeError(
    `Cannot precondition layer "${name}" locally from ${Object.keys(forms).join(", ")}: ` +
      "mode remote can",
  );
}
