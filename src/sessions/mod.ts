/**
 * Sessions: running curvature of a model, its transitions, and how it is kept.
 *
 * @module
 */
export * from "./configuration.ts";
export * from "./state.ts";
export { driftsOf, unbased } from "./drift.ts";
export * from "./findings.ts";
export * from "./outcome.ts";
export type { Observation } from "./observation.ts";
export * from "./transition.ts";
export * from "./store.ts";
export { StoreClient } from "./store_client.ts";
export { startStore, type StoreWorker } from "./store_process.ts";
export * from "./head.ts";
export * from "./checkpoint.ts";
export * from "./snapshot.ts";
