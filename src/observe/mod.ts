/** What can be told of a running server. @module */
export { Metrics, type RequestFacts } from "./metrics.ts";
export { metricsOf } from "./process.ts";
export { sizeClassOf } from "./size_class.ts";
