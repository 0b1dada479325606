/**
 * The wire contract: what a document is, its schemas, and its two encodings.
 *
 * @module
 */
export * from "./tensor.ts";
export * from "./fields.ts";
export { firstNonFinite } from "./finite.ts";
export { packedLength, packedSide, packSymmetric, unpackSymmetric } from "./packed.ts";
export {
  type MethodName,
  METHODS,
  Output,
  PLAIN_OUTPUT,
  TERM_METHODS,
  type TermMethodName,
} from "./schema.ts";
export { type Batch } from "./layer_description.ts";
export { formOf, UPDATE_FORMS, type UpdateForm } from "./update_forms.ts";
export * from "./factors.ts";
export * from "./inverses.ts";
export * from "./eigenbases.ts";
export * from "./scalings.ts";
export * from "./kronecker_terms.ts";
export * from "./updates.ts";
export * from "./approximation_errors.ts";
export * from "./inverse_roots.ts";
export * from "./plan.ts";
export * from "./methods.ts";
export * from "./device.ts";
export * from "./session.ts";
export { CheckpointDocument } from "./session_head.ts";
export { SESSION_EVENTS } from "./session_diagnostics.ts";
export * from "./problem.ts";
export { Diagnostics, Timing } from "./answer.ts";
export { CALL_SCHEMAS } from "./calls.ts";
export { type Encoding, MEDIA_TYPES } from "./encoding.ts";
export { decodeDocument } from "./decode_document.ts";
export { encodeDocument, type Parts } from "./encode_document.ts";
export { buffersOf, freeTensors, pointerTo, splitName, tensorsOf } from "./document.ts";
export { writeElements } from "./dtypes.ts";
export {
  decodeSafetensors,
  type EncodedTensor,
  encodeHeader,
  encodeSafetensors,
  readLayout,
} from "./safetensors.ts";
export { openSafetensors, type SafetensorsStream } from "./safetensors_stream.ts";
export { Codec } from "./codec.ts";
export { validate } from "./validate.ts";
export {
  InferenceAnswer,
  InferenceProblem,
  InferenceRequest,
  MAX_HEAD_BYTES,
  ModelMetadata,
  ServerMetadata,
} from "./inference_protocol/message.ts";
export { type InferenceForm, readInferenceHead } from "./inference_protocol/request.ts";
export { writeInferenceAnswer } from "./inference_protocol/answer.ts";
export { MODEL_VERSION, modelMetadata } from "./inference_protocol/metadata.ts";
