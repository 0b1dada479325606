/** `GET /v1/device`: which engine runs, why, and on what. @module */
import * as z from "zod";

export const DeviceAnswer = z.looseObject({
  engine: z.enum(["webgpu", "cpu"]),
  reason: z.string().describe("why this engine and not the other, and what it computes with"),
  adapter: z.record(z.string(), z.union([z.string(), z.boolean()])).nullable(),
  tuning: z.record(z.string(), z.union([z.number(), z.boolean()])).nullable()
    .describe("sizes and forms of the GPU kernels, chosen by the adapter's class"),
  limits: z.record(z.string(), z.number()),
  features: z.array(z.string()),
  blas: z.strictObject({ library: z.string(), path: z.string(), threads: z.number() }).nullable(),
  memory: z.strictObject({ tensors: z.number(), bytes: z.number() }),
}).meta({ id: "DeviceAnswer" });
