/**
 * Preconditioners from curvature that the client already has: factors, inverses, eigenbases, Kronecker terms.
 *
 * @module
 */
import { slice, squeeze, type Tensor1D, type Tensor2D, type Tensor3D } from "@tensorflow/tfjs-core";
import {
  clipped,
  type Context,
  embeddingInverse,
  KroneckerInverse,
  kroneckerSpectral,
  layerMethod,
  type MethodName,
  piOfSpectra,
  type Preconditioner,
  scaledPreconditioner,
  termsPreconditioner,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { UpdateForm } from "@/wire/mod.ts";
import { type PreparedLayer, uploadField, uploadStack } from "../layers.ts";

/** The preconditioner of any form but statistics. */
export function preconditionerOfForm(
  prepared: PreparedLayer,
  form: Exclude<UpdateForm, "statistics">,
  method: MethodName,
  context: Context,
): Promise<Preconditioner> {
  switch (form) {
    case "factors":
    case "block":
      return ofFactors(prepared, method, context);
    case "inverses":
      return Promise.resolve(ofInverses(prepared));
    case "eigenbasis":
      return Promise.resolve(ofEigenbasis(prepared, context));
    case "scalings":
      return Promise.resolve(ofScalings(prepared, context));
    case "terms":
      return ofTerms(prepared, context);
  }
}

/** A and G (of an embedding its diagonal; of FOOF A alone), or a normalisation layer's F. */
function ofFactors(
  prepared: PreparedLayer,
  method: MethodName,
  context: Context,
): Promise<Preconditioner> {
  const { layer, symmetric, tensors } = prepared;
  const tolerances = { A: symmetric.A?.tolerances, G: symmetric.G?.tolerances };
  const state = layer.kind === "scale_and_shift"
    ? symmetric.F
      ? { block: "full", F: uploadStack(prepared, "F"), tolerance: symmetric.F.tolerances }
      : { block: "diagonal", F: nonNegative(prepared, "F") }
    : layer.kind === "embedding"
    ? {
      frequencies: nonNegative(prepared, "A_diagonal"),
      ...(tensors.G ? { G: uploadStack(prepared, "G") } : {}),
      tolerances,
    }
    : {
      A: uploadStack(prepared, "A"),
      ...(tensors.G ? { G: uploadStack(prepared, "G") } : {}),
      tolerances,
    };
  return layerMethod(method, layer).refresh(state, context);
}

/** A diagonal of second moments. @throws CurvdError `not-positive-definite` with the first negative index. */
function nonNegative(prepared: PreparedLayer, field: string): Tensor1D {
  const { data } = prepared.tensors[field];
  const index = data.findIndex((value) => value < 0);
  if (index >= 0) {
    const { name } = prepared.layer;
    throw new CurvdError(
      "not-positive-definite",
      `Layer "${name}": ${field} must not be negative: [${index}] is ${data[index]}`,
      { layer: name, tensor: field, value: data[index], index },
    );
  }
  return uploadField(prepared, field) as Tensor1D;
}

function ofInverses(prepared: PreparedLayer): Preconditioner {
  const G_inv = uploadStack(prepared, "G_inv");
  return prepared.layer.kind === "embedding"
    ? embeddingInverse({ A_inv: uploadField(prepared, "A_inv") as Tensor1D, G_inv })
    : new KroneckerInverse({ A_inv: uploadStack(prepared, "A_inv"), G_inv });
}

function ofEigenbasis(prepared: PreparedLayer, { options }: Context): Preconditioner {
  const spectrum = (field: string): Tensor2D =>
    clipped(uploadStack(prepared, field, 2) as unknown as Tensor2D);
  expectSpectrum(prepared, "lambda_A");
  expectSpectrum(prepared, "lambda_G");
  const [lambda_A, lambda_G] = [spectrum("lambda_A"), spectrum("lambda_G")];
  return kroneckerSpectral(
    { Q_A: uploadStack(prepared, "Q_A"), Q_G: uploadStack(prepared, "Q_G") },
    { lambda_A, lambda_G },
    piOfSpectra(options.pi, lambda_A, lambda_G),
    options,
    {},
  );
}

function ofScalings(prepared: PreparedLayer, { options }: Context): Preconditioner {
  expectSpectrum(prepared, "S");
  return scaledPreconditioner(
    { Q_A: uploadStack(prepared, "Q_A"), Q_G: uploadStack(prepared, "Q_G") },
    clipped(uploadStack(prepared, "S")),
    options,
  );
}

/** Eigenvalues of a curvature, where rounding may have made a zero negative: −τ at the least. */
function expectSpectrum({ layer, tensors }: PreparedLayer, field: string): void {
  const { data } = tensors[field];
  let largest = 0, least = 0, at = -1;
  data.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value));
    if (value < least) [least, at] = [value, i];
  });
  const tolerance = data.length * 2 ** -23 * largest;
  if (least >= -tolerance) return;
  throw new CurvdError(
    "not-positive-definite",
    `Layer "${layer.name}": ${field} must not be negative: value ${at} is ${least}`,
    { layer: layer.name, tensor: field, value: least, limit: -tolerance, index: at },
  );
}

/** One or two Kronecker products, `[r, d, d]` or `[groups, r, d, d]`. */
function ofTerms(prepared: PreparedLayer, context: Context): Promise<Preconditioner> {
  const A = uploadStack(prepared, "A_terms", 4), G = uploadStack(prepared, "G_terms", 4);
  const rank = A.shape[1];
  if (rank > 2) {
    const { name } = prepared.layer;
    throw new CurvdError(
      "unsupported",
      `Layer "${name}": ${rank} terms have no common eigenbasis; one or two are offered`,
      { layer: name, tensor: "A_terms", value: rank, limit: 2 },
    );
  }
  const term = (all: Tensor3D, k: number): Tensor3D =>
    squeeze(slice(all, [0, k, 0, 0], [-1, 1, -1, -1]), [1]);
  const terms = Array.from({ length: rank }, (_, k) => ({ A: term(A, k), G: term(G, k) }));
  return termsPreconditioner(terms, context);
}
