/**
 * The wire's documents without its schemas: all that a client needs at run time.
 *
 * A second door to this folder beside `mod.ts`, as that one loads zod and every schema, which would
 * be nine tenths of a client's bundle.
 *
 * @module
 */
export * from "./tensor.ts";
export { ANSWERED_TENSOR_FIELDS } from "./fields.ts";
export { packedSide, unpackSymmetric } from "./packed.ts";
export { type Encoding, MEDIA_TYPES } from "./encoding.ts";
export { decodeDocument } from "./decode_document.ts";
export { encodeDocument } from "./encode_document.ts";
export { decodeSafetensors, type EncodedTensor, encodeSafetensors } from "./safetensors.ts";
export type { Output } from "./schema.ts";
