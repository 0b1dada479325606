/**
 * Sizes and forms of the GPU kernels, by class of adapter: what WebGPU tells of an adapter is its
 * vendor, so that is what a class is.
 *
 * Measured are the rows `software` (lavapipe on 2 cores) and `nvidia` (an H200, an H100;
 * bench/results/gpu-h200.md and gpu-h100.md). The others are estimates from the hardware's shape, made to be
 * replaced: one run of `bench/bundle` on a machine with the card prints the times of every choice.
 * All rows give right results on all adapters; they differ in time, and in the last bits.
 *
 * @module
 */

export type AdapterClass = "nvidia" | "amd" | "intel" | "apple" | "software" | "unknown";

/** What the kernels let one choose. Sides are of one matrix: a result never depends on its batch. */
export interface Tuning {
  /** Reductions by subgroups, where the device has them and they are as the kernels need them. */
  readonly subgroups: boolean;
  /** Products whose smaller side is above this use tiles of 64, and below it of 32. */
  readonly tile64Above: number;
  /** And above this of 128. */
  readonly tile128Above: number;
  /** A Gram matrix of fewer tiles than this splits its sum over the examples. */
  readonly tilesInFlight: number;
  /** Most invocations of the workgroup that diagonalizes a small matrix or a pivot. */
  readonly jacobiLanes: number;
  /** Inverses up to 128 by eight lanes of one subgroup, instead of by a workgroup's blocks. */
  readonly smallInverseInSubgroup: boolean;
  /** Eigenvectors above 32 by way of a tridiagonal matrix, a dispatch a column, instead of by block Jacobi. */
  readonly tridiagonal: boolean;
  /** Block Jacobi takes blocks of 16 rows up to this side, and of 32 above. */
  readonly narrowBlocksUpTo: number;
}

/** Where nothing is known: what is right everywhere, and nothing that was seen to pay only on some hardware. */
const CAUTIOUS: Tuning = {
  subgroups: false,
  tile64Above: 32,
  tile128Above: 256,
  tilesInFlight: 256,
  jacobiLanes: 128,
  smallInverseInSubgroup: false,
  tridiagonal: true,
  narrowBlocksUpTo: 256,
};

export const TUNINGS: Readonly<Record<AdapterClass, Tuning>> = {
  /**
   * MEASURED on an H200 (132 multiprocessors, subgroups of 32; medians, ms).
   *
   * - subgroups: inverse 256 1.06 against 1.15, eigh 512 the same.
   * - tile64Above: eigh 256 15.3 with tiles of 32, 17.8 with 64.
   * - tile128Above: a product of 1024 0.22 with tiles of 64, 0.28 with 128; of 2048 the same.
   * - tilesInFlight: a Gram matrix of 256 0.12 at 256, 0.16 to 0.18 at 64, 128 and 512.
   * - jacobiLanes: eigh 1024 142 with 64, 94 with 128, 72 with 256.
   * - tridiagonal: eigh 1024 12.9 against 66 by block Jacobi (H100, H200), 256 5.1 and 15, 64 × 256 8.2 and 25.
   * - narrowBlocksUpTo: eigh 128 6.0 with blocks of 32, 8.8 with blocks of 16; 256 12.5 and 18.5.
   */
  nvidia: {
    subgroups: true,
    tile64Above: 256,
    tile128Above: 1024,
    tilesInFlight: 256,
    jacobiLanes: 256,
    smallInverseInSubgroup: false,
    tridiagonal: true,
    narrowBlocksUpTo: 64,
  },
  /** ESTIMATE, for some 100 compute units with subgroups of 32 or 64: as nvidia, which is as wide. */
  amd: {
    subgroups: true,
    tile64Above: 256,
    tile128Above: 1024,
    tilesInFlight: 256,
    jacobiLanes: 256,
    smallInverseInSubgroup: false,
    tridiagonal: true,
    narrowBlocksUpTo: 64,
  },
  /**
   * ESTIMATE, for some 30 cores with subgroups of 8 to 32. A kernel of many registers runs in
   * subgroups of 8, and eight values pass through workgroup memory: one barrier
   * instead of seven all the same. 30 tiles of 128 are a side of 700; fewer tiles fill the device.
   */
  intel: {
    subgroups: true,
    tile64Above: 64,
    tile128Above: 512,
    tilesInFlight: 64,
    jacobiLanes: 128,
    smallInverseInSubgroup: false,
    tridiagonal: true,
    narrowBlocksUpTo: 256,
  },
  /** ESTIMATE, for 8 to 40 cores with subgroups of 32. */
  apple: {
    subgroups: true,
    tile64Above: 64,
    tile128Above: 512,
    tilesInFlight: 128,
    jacobiLanes: 128,
    smallInverseInSubgroup: false,
    tridiagonal: true,
    narrowBlocksUpTo: 256,
  },
  /**
   * MEASURED on lavapipe (best of several, ms).
   *
   * - subgroups: of 8 lanes, and no faster: eigh 64 × 64 652 against 633, inverse 512 43 against 44.
   * - tile64Above: eigh 128 92 at 32, 94 at 128. tile128Above: inverse 512 42 at 256 and at 512.
   * - jacobiLanes: eigh 16 × 64 149 with 64, 155 with 128, 168 with 256; eigh 512 2686, 2795, 2852.
   * - smallInverseInSubgroup: a 128 among 64 0.32 of a core's ms, with pivots of another 0.44; by blocks 0.79 and 1.22.
   * - tridiagonal: eigh 64 11 against 21, 256 74 against 364, 512 384 against 2697.
   * - narrowBlocksUpTo: eigh 256 369 with blocks of 32 (6 sweeps), 399 with blocks of 16 (7).
   */
  software: { ...CAUTIOUS, smallInverseInSubgroup: true, narrowBlocksUpTo: 128 },
  unknown: CAUTIOUS,
};

/** Vendors as browsers name them and as wgpu does: by their PCI number, in decimal. */
const VENDORS: readonly (readonly [AdapterClass, RegExp])[] = [
  ["nvidia", /\bnvidia\b|^4318\b/i],
  ["amd", /\bamd\b|\bradeon\b|^4098\b/i],
  ["intel", /\bintel\b|^32902\b/i],
  ["apple", /\bapple\b|^4203\b/i],
];

/** @param words what an adapter says of itself, its vendor first. */
export function adapterClass(words: string): AdapterClass {
  return VENDORS.find(([, name]) => name.test(words))?.[0] ?? "unknown";
}
