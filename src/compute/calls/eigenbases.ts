/**
 * `POST /v1/eigenbases`: eigenvalues and eigenvectors of symmetric matrices of any signs.
 *
 * @module
 */
import type { Tensor3D } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import type { EighProblem } from "@/linalg/mod.ts";
import { CurvdError } from "@/errors.ts";
import { type Document, type EigenbasesRequest, isTensor, type WireTensor } from "@/wire/mod.ts";
import {
  expectFinite,
  ingestSymmetric,
  type SymmetricInput,
  type Unpacked,
  upload,
  uploadSymmetric,
} from "../ingest.ts";
import { takenWithoutGroups } from "../layers.ts";
import { answerLayers, type CallOptions, documentOf, eachLayer } from "./call.ts";

type Factor = "A" | "G";
const FACTORS: readonly Factor[] = ["A", "G"];
type Inputs = Partial<Record<Factor, { matrix: SymmetricInput; last?: WireTensor }>>;

export async function eigenbases(
  engine: Engine,
  request: EigenbasesRequest,
  options: CallOptions = {},
): Promise<Document> {
  return documentOf(
    await answerLayers(
      engine,
      request.layers,
      { ...request, ...options },
      prepare,
      eachLayer(async (inputs, name, linalg) => {
        const factors = FACTORS.filter((factor) => inputs[factor]);
        const results = await linalg.eigh(
          factors.map((factor): EighProblem => {
            const { matrix, last } = inputs[factor]!;
            return {
              name: `${name}.${factor}`,
              matrix: uploadSymmetric(matrix),
              warmStart: last && upload({ ...last, shape: matrix.shape }) as Tensor3D,
            };
          }),
        );
        const each = <T>(of: (i: number) => T) =>
          factors.map((factor, i) => [factor, of(i)] as const);
        return {
          tensors: Object.fromEntries([
            ...each((i) => takenWithoutGroups(results[i].vectors)).map(([f, t]) =>
              [`Q_${f}`, t] as const
            ),
            ...each((i) => takenWithoutGroups(results[i].values)).map(([f, t]) =>
              [`lambda_${f}`, t] as const
            ),
          ]),
          reports: Object.fromEntries(each((i) => results[i].reports)),
        };
      }),
    ),
  );
}

function prepare(
  layer: EigenbasesRequest["layers"][string],
  name: string,
  unpacked: Unpacked,
): Inputs {
  const inputs: Inputs = {};
  for (const factor of FACTORS) {
    const wire = layer[factor];
    if (!isTensor(wire)) continue;
    const matrix = ingestSymmetric(wire, { layer: name, tensor: factor }, unpacked);
    const tensor = `Q_${factor}` as const;
    const last = layer[tensor];
    if (last) {
      expectFinite(last, { layer: name, tensor });
      if (last.data.length !== matrix.data.length || last.shape.at(-1) !== matrix.shape[2]) {
        throw new CurvdError(
          "invalid-tensor",
          `Layer "${name}": ${tensor} must be as large as ${factor}, [${matrix.shape.join(", ")}]`,
          { layer: name, tensor, value: last.shape, limit: matrix.shape },
        );
      }
    }
    inputs[factor] = { matrix, last };
  }
  return inputs;
}
