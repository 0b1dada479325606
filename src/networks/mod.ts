/**
 * Networks that are trained here, and the batches they take, for the command line and for a browser.
 *
 * @module
 */
export { type Batch, batchesOf, batchOf, disposeBatch, reconstructionBatchOf } from "./batches.ts";
export {
  autoEncoder,
  convNet,
  CURVES_CODE,
  MLP_WIDTHS,
  MNIST_CODE,
  multilayerPerceptron,
} from "./networks.ts";
