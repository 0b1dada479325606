/**
 * The trainer for a browser, with the TensorFlow.js that it trains: `import { tf, CurvatureOptimizer } from ".../page/trainer.js"`.
 *
 * @module
 */
import "@tensorflow/tfjs-backend-webgpu";

export * as tf from "@tensorflow/tfjs";
export * from "@/trainer/mod.ts";
