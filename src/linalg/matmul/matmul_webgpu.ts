/**
 * Matrix products on WebGPU: launches matmul.wgsl, in the variant the operands ask for.
 *
 * @module
 */
import {
  defineKernel,
  type IndirectCounts,
  type Kernel,
  type Recording,
  type Tuning,
} from "@/engine/mod.ts";
import source from "./matmul.wgsl" with { type: "text" };
import sumSource from "./sum_splits.wgsl" with { type: "text" };

/** `C = alpha·op(A) op(B) + diagonal·I` for a batch of matrices. */
export interface MatMul {
  /** `[batch, m, k]`, or `[batch, k, m]` where transposed. */
  readonly a: GPUBuffer;
  /** `[batch, k, n]`, or `[batch, n, k]` where transposed. */
  readonly b: GPUBuffer;
  /** `[batch·splits, m, n]`; neither of the operands. */
  readonly c: GPUBuffer;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** @default 1 */
  readonly batch?: number;
  /** Place of the first of these matrices in A, B and C; of partial sums C has none before it. @default 0 */
  readonly firstMatrix?: number;
  /** The one matrix is used for the whole batch. */
  readonly sharesA?: boolean;
  readonly sharesB?: boolean;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** C is symmetric in exact arithmetic: half is computed, and mirrored. */
  readonly symmetric?: boolean;
  /** A = B is lower triangular, `C = AᵀA`; what is stored above its diagonal is not read. */
  readonly lower?: boolean;
  /** Parts of the contracted axis, each with a C of its own. @default 1 */
  readonly splits?: number;
  /** Where a kernel wrote {@linkcode productWorkgroups}, or zeros to skip the product. */
  readonly counts?: IndirectCounts;
  /** @default 1 */
  readonly alpha?: number;
  /** @default 0 */
  readonly diagonal?: number;
}

const DEPTH = 8; // of a slab in matmul.wgsl

export function recordMatMul(recording: Recording, product: MatMul): void {
  const { a, b, c, m, n, k, splits = 1, alpha = 1, diagonal = 0 } = product;
  const { sharesA = false, sharesB = false, firstMatrix = 0, counts } = product;
  const depth = DEPTH * Math.ceil(k / splits / DEPTH);
  const firstC = splits === 1 ? firstMatrix : 0;
  recording.dispatch(variant(sideFor(recording.tuning, product), product), {
    buffers: [a, b, c],
    uniforms: {
      u32: [
        m,
        n,
        k,
        sharesA ? 0 : m * k,
        sharesB ? 0 : k * n,
        splits,
        depth,
        firstMatrix,
        firstC,
      ],
      f32: [alpha, diagonal],
    },
    workgroups: counts ?? productWorkgroups(recording.tuning, product),
  });
}

/** Workgroups of a product along x, y, z. */
export function productWorkgroups(
  tuning: Tuning,
  product: Pick<MatMul, "m" | "n" | "batch" | "splits" | "symmetric">,
): number[] {
  const { m, n, batch = 1, splits = 1, symmetric = false } = product;
  const tile = 8 * sideFor(tuning, product);
  const [rows, columns] = [Math.ceil(m / tile), Math.ceil(n / tile)];
  return symmetric ? [rows * (rows + 1) / 2, 1, batch * splits] : [columns, rows, batch * splits];
}

const sumSplits = defineKernel({
  label: "linalg.sum-splits",
  source: sumSource,
  entryPoint: "sum_splits",
  bindings: ["read", "read-write"],
});

/** `C = Σ parts`: `[batch, splits, size]` to `[batch, size]`, from the first matrix of C on. */
export function recordSumSplits(
  recording: Recording,
  { part, c, size, splits, batch, firstMatrix }: {
    part: GPUBuffer;
    c: GPUBuffer;
    size: number;
    splits: number;
    batch: number;
    firstMatrix: number;
  },
): void {
  const groups = Math.ceil(size / 256);
  const x = Math.min(groups, 4096); // a row of workgroups has at most 65535
  recording.dispatch(sumSplits, {
    buffers: [part, c],
    uniforms: { u32: [size, splits, x * 256, firstMatrix] },
    workgroups: [x, Math.ceil(groups / x), batch],
  });
}

/** More rows than this, or columns, are taken in the largest tiles: their workgroups must not be too many for a dispatch. */
const LONGEST_OF_SMALL_TILES = 2 ** 20;

/** Invocations along a side of the workgroup: tiles of 128 for large matrices, else 64 or 32. */
function sideFor({ tile128Above, tile64Above }: Tuning, { m, n }: Pick<MatMul, "m" | "n">): number {
  const smaller = Math.min(m, n);
  if (smaller > tile128Above || Math.max(m, n) > LONGEST_OF_SMALL_TILES) return 16;
  return smaller > tile64Above ? 8 : 4;
}

const variants = new Map<string, Kernel>();

function variant(side: number, product: MatMul): Kernel {
  const { transposeA = false, transposeB = false, symmetric = false, lower = false } = product;
  const flags = [transposeA, transposeB, symmetric, lower].map(Number);
  const key = `${side},${flags}`;
  let kernel = variants.get(key);
  if (kernel === undefined) {
    const [TRANSPOSE_A, TRANSPOSE_B, SYMMETRIC, LOWER] = flags;
    kernel = defineKernel({
      label: "linalg.matmul",
      source,
      entryPoint: "matmul",
      constants: { SIDE: side, TRANSPOSE_A, TRANSPOSE_B, SYMMETRIC, LOWER },
      bindings: ["read", "read", "read-write"],
    });
    variants.set(key, kernel);
  }
  return kernel;
}
