/**
 * The trainer: what turns a TensorFlow.js training loop into one preconditioned by a curvd server.
 *
 * @module
 */
export * from "./client/mod.ts";
export * from "./capture/mod.ts";
export * from "./fisher/mod.ts";
export * from "./loop/mod.ts";
export * from "./optimizer/mod.ts";
