/**
 * `POST /v1/inverses`: damped inverses of Kronecker factors.
 *
 * @module
 */
import { reshape, stack, type Tensor, type Tensor1D } from "@tensorflow/tfjs-core";
import {
  dampedInverses,
  DEFAULT_OPTIONS,
  embeddingInverses,
  type MethodOptions,
  piOfHostFactors,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra } from "@/linalg/mod.ts";
import type { Document, InversesRequest, WireTensor } from "@/wire/mod.ts";
import {
  expectFinite,
  ingestSymmetric,
  type SymmetricInput,
  type Unpacked,
  upload,
  uploadSymmetric,
} from "../ingest.ts";
import { takenWithoutGroups, withoutGroups } from "../layers.ts";
import {
  answerLayers,
  type CallOptions,
  documentOf,
  eachLayer,
  type LayerOutcome,
} from "./call.ts";

/** The factors of one layer, looked at. */
interface Factors {
  readonly A?: SymmetricInput;
  readonly diagonal?: WireTensor;
  readonly G?: SymmetricInput;
}

export async function inverses(
  engine: Engine,
  request: InversesRequest,
  callOptions: CallOptions = {},
): Promise<Document> {
  const options: MethodOptions = {
    ...DEFAULT_OPTIONS,
    dampings: [request.damping].flat(),
    dampingRule: request.damping_rule,
    pi: request.pi,
  };
  const isSweep = Array.isArray(request.damping);
  return documentOf(
    await answerLayers(
      engine,
      request.layers,
      { ...request, ...callOptions },
      prepare,
      eachLayer((factors, name, linalg) =>
        factors.diagonal
          ? ofEmbedding(factors, { name, linalg, options }, isSweep)
          : ofFactors(factors, { name, linalg, options }, isSweep)
      ),
    ),
  );
}

interface Task {
  readonly name: string;
  readonly linalg: LinearAlgebra;
  readonly options: MethodOptions;
}

async function ofFactors({ A, G }: Factors, task: Task, isSweep: boolean): Promise<LayerOutcome> {
  const pi = knownPi({ A, G }, task.options);
  const results = await dampedInverses({
    ...(A ? { A: uploadSymmetric(A) } : {}),
    ...(G ? { G: uploadSymmetric(G) } : {}),
    tolerances: { A: A?.tolerances, G: G?.tolerances },
    pi,
  }, task);
  const answer = (inverses: Tensor[]) =>
    isSweep ? stack(inverses.map(withoutGroups)) : takenWithoutGroups(inverses[0]);
  return {
    tensors: {
      ...(A ? { A_inv: answer(results.A) } : {}),
      ...(G ? { G_inv: answer(results.G) } : {}),
    },
    ...(results.pi ? { numbers: { pi: results.pi } } : {}),
    ...(pi ? { fields: { pi: pi.length === 1 ? pi[0] : pi } } : {}),
    reports: results.reports,
  };
}

/** π of each block where no spectra are needed: a factor alone has π = 1. */
function knownPi({ A, G }: Factors, { pi: rule }: MethodOptions): number[] | undefined {
  if (!A || !G) return Array<number>((A ?? G)!.shape[0]).fill(1);
  return rule === "spectral" ? undefined : piOfHostFactors(rule, A, G);
}

/** An embedding's input factor is a diagonal, and so is its inverse. */
async function ofEmbedding(
  { diagonal, G }: Factors,
  task: Task,
  isSweep: boolean,
): Promise<LayerOutcome> {
  const frequencies = upload(diagonal!) as Tensor1D;
  if (!G) {
    throw new CurvdError(
      "invalid-request",
      `Layer "${task.name}": A_diagonal needs G beside it; its own inverse is 1/(A_diagonal + damping)`,
      { layer: task.name, tensor: "G" },
    );
  }
  const factor = uploadSymmetric(G);
  const each = await Promise.all(
    task.options.dampings.map((damping) =>
      embeddingInverses({
        frequencies,
        G: factor,
        tolerances: { G: G.tolerances },
      }, { ...task, options: { ...task.options, dampings: [damping] } })
    ),
  );
  const { pi, reports } = each[0];
  const inverses = each.map(({ G_inv }) => withoutGroups(G_inv));
  const rows = each.map(({ A_inv }) => A_inv);
  return {
    tensors: {
      A_inv: isSweep ? stack(rows) : rows[0],
      G_inv: isSweep ? stack(inverses) : inverses[0],
    },
    numbers: { pi: reshape(pi, [1]) },
    reports,
  };
}

function prepare(
  layer: InversesRequest["layers"][string],
  name: string,
  unpacked: Unpacked,
): Factors {
  const { A, A_diagonal, G } = layer;
  if (A_diagonal) expectFinite(A_diagonal, { layer: name, tensor: "A_diagonal" });
  return {
    ...(A ? { A: ingestSymmetric(A, { layer: name, tensor: "A" }, unpacked) } : {}),
    ...(A_diagonal ? { diagonal: A_diagonal } : {}),
    ...(G ? { G: ingestSymmetric(G, { layer: name, tensor: "G" }, unpacked) } : {}),
  };
}
