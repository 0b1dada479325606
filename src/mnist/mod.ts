/**
 * The files of MNIST, apart from the other data: whoever bundles for a browser leaves 55 MB out.
 *
 * @module
 */
export { type IdxFiles, testDigits, testFiles, trainingDigits } from "./digits.ts";
