/**
 * Kernels that reduce over a workgroup, in two forms: tree.wgsl anywhere, subgroups.wgsl where the
 * device was opened with subgroups.
 *
 * Only reductions have a second form. A step of jacobi.wgsl and four columns of pivot.wgsl let
 * nobody write before everybody has read: their barriers would stay, and what they share is read
 * from workgroup memory at one address, which costs no more than a broadcast.
 *
 * @module
 */
import type { KernelDefinition } from "@/engine/mod.ts";
import subgroupForm from "./subgroups.wgsl" with { type: "text" };
import treeForm from "./tree.wgsl" with { type: "text" };

/** The sources of a kernel that calls `sum_of`, `two_sums_of`, `largest_of` or `product_of`. */
export function withReductions(
  source: string,
): Pick<KernelDefinition, "source" | "subgroupSource"> {
  return { source: treeForm + source, subgroupSource: subgroupForm + source };
}
