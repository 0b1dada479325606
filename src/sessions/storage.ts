/**
 * How sessions are kept, without what computes them and so without TensorFlow.js: the second door of this layer, for the thread
 * that answers HTTP.
 *
 * @module
 */
export { startStore, type StoreWorker } from "./store_process.ts";
export { MAX_SNAPSHOT_HEADER_BYTES } from "./store.ts";
