/**
 * Every kernel compiles in both compilers: naga (this process) and Tint (Chromium, where it is
 * installed).
 *
 * They differ in what they accept: Tint refuses a barrier in non-uniform flow and workgroup memory
 * over 16 KiB, which naga lets pass; naga refuses what it does not know yet.
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { ONE_SUBGROUP } from "@/engine/webgpu/kernel.ts";
import { CHROMIUM, openChromium } from "../support/chromium.ts";
import { isWithoutGpu } from "../support/gpu.ts";

const SOURCES = new URL("../../src/linalg/", import.meta.url);

/** A kernel as the product launches it. */
interface Kernel {
  /** Files that are joined. */
  readonly parts: readonly string[];
  /** What stands before them. */
  readonly prefix?: string;
  readonly entryPoint: string;
  readonly constants?: Readonly<Record<string, number>>;
  /** Workgroup memory beyond what every device has. */
  readonly needsMemory?: boolean;
}

const state = "padded/state.wgsl";
const tile = "padded/tile_product.wgsl";
const TREE = "reduce/tree.wgsl";
const SUBGROUPS = "reduce/subgroups.wgsl";
const IN_SUBGROUP = "small_inverse/in_one_subgroup.wgsl";

const MATMUL_FLAGS: Record<string, number>[] = [
  {},
  { TRANSPOSE_A: 1 },
  { TRANSPOSE_B: 1 },
  { TRANSPOSE_A: 1, SYMMETRIC: 1, LOWER: 1 },
];

const matmul: Kernel[] = [4, 8, 16].flatMap((SIDE) =>
  MATMUL_FLAGS.map((flags) => ({
    parts: ["matmul/matmul.wgsl"],
    entryPoint: "matmul",
    constants: { SIDE, ...flags },
  }))
);

/**
 * Q^T shares workgroup memory with the triangle up to 32; at 64 the base path keeps it in storage.
 */
const jacobi: Kernel[] = [[16, 32], [32, 128], [64, 256]].map(([M, LANES]) => ({
  parts: [state, "eigh/jacobi.wgsl"],
  entryPoint: "jacobi",
  constants: { M, LANES, SHARE_Q: Number(M < 64), SHARED_Q_CELLS: M < 64 ? M * M : 1 },
}));

const withState = (file: string, ...entryPoints: string[]): Kernel[] =>
  entryPoints.map((entryPoint) => ({ parts: [state, file], entryPoint }));

/** Kernels that reduce over a workgroup, in both forms. */
const reducing = (files: string[], ...entryPoints: string[]): Kernel[] =>
  [TREE, SUBGROUPS].flatMap((form) =>
    entryPoints.map((entryPoint) => ({ parts: [form, state, ...files], entryPoint }))
  );

const MERGE = "tridiagonal/merge.wgsl";
const tridiagonal: Kernel[] = [
  ...[64, 256].flatMap((lanes) =>
    [TREE, SUBGROUPS].map((form) => ({
      parts: [form, "tridiagonal/tridiagonalize.wgsl"],
      prefix: `const LANES = ${lanes}u;\n`,
      entryPoint: "tridiagonalize",
    }))
  ),
  ...withState("tridiagonal/tear.wgsl", "tear"),
  { parts: ["tridiagonal/leaf_spectrum.wgsl"], entryPoint: "leaf_spectrum" },
  { parts: [MERGE, "tridiagonal/couple.wgsl"], entryPoint: "couple" },
  ...reducing([MERGE, "tridiagonal/deflate.wgsl"], "deflate"),
  ...reducing([MERGE, "tridiagonal/secular.wgsl"], "secular_roots", "exact_weights"),
  ...["rank_one_vectors", "rotate_rows"].map((entryPoint) => ({
    parts: [MERGE, "tridiagonal/rank_one_vectors.wgsl"],
    entryPoint,
  })),
  {
    parts: [MERGE, tile, "tridiagonal/merge_product.wgsl"],
    entryPoint: "merge_product",
    constants: { QUADS: 16 },
  },
  { parts: ["tridiagonal/compact_wy.wgsl"], entryPoint: "compact_wy" },
  { parts: ["tridiagonal/reflect.wgsl"], entryPoint: "reflect" },
];

const KERNELS: readonly Kernel[] = [
  ...matmul,
  { parts: ["matmul/sum_splits.wgsl"], entryPoint: "sum_splits" },
  ...withState("padded/load.wgsl", "load"),
  ...reducing(["padded/survey.wgsl"], "survey_rows", "survey"),
  ...withState("padded/prepare.wgsl", "prepare"),
  ...withState("padded/unload.wgsl", "unload"),
  { parts: ["padded/load_basis.wgsl"], entryPoint: "load_basis" },
  {
    parts: [tile, "cholesky_inverse/block_row.wgsl"],
    entryPoint: "block_row",
    constants: { QUADS: 16 },
  },
  ...["pivot_block", "trailing_update"].map((entryPoint) => ({
    parts: [state, tile, "cholesky_inverse/pivot.wgsl", `cholesky_inverse/${entryPoint}.wgsl`],
    entryPoint,
    constants: { QUADS: 16 },
  })),
  ...reducing(["probe/signs.wgsl", "probe/probe.wgsl"], "probe"),
  ...[4, 8, 12, 16].map((BLOCKS) => ({
    parts: [state, "probe/signs.wgsl", "small_inverse/small_inverse.wgsl"],
    entryPoint: "small_inverse",
    constants: { BLOCKS },
  })),
  ...[4, 8, 12, 16].map((BLOCKS) => ({
    parts: [state, "probe/signs.wgsl", IN_SUBGROUP],
    entryPoint: "small_inverse",
    constants: { BLOCKS },
    needsMemory: BLOCKS > 8,
  })),
  ...reducing(["probe/judge_inverse.wgsl"], "judge_inverse"),
  ...reducing(["probe/judge_orthogonality.wgsl"], "judge_orthogonality"),
  ...reducing(["probe/exact_residual.wgsl"], "square_rows", "exact_residual"),
  ...jacobi,
  ...[8, 16].map((QUADS) => ({
    parts: [state, tile, "eigh/rotate.wgsl"],
    entryPoint: "rotate",
    constants: { QUADS },
  })),
  ...reducing(["eigh/gap.wgsl", "eigh/convergence.wgsl"], "off_diagonal_rows", "convergence"),
  { parts: ["eigh/gap.wgsl", "eigh/first_order.wgsl"], entryPoint: "first_order" },
  ...tridiagonal,
  ...withState("eigh/rayleigh.wgsl", "rayleigh"),
  ...reducing(["eigh/sort.wgsl"], "sort", "judge_eigh"),
  ...withState("eigh/unload_values.wgsl", "unload_values"),
  ...reducing(
    ["inverse_root/coupled_newton.wgsl"],
    ...["root_norm_rows", "root_norm", "root_start"],
    ...["root_error_rows", "root_convergence", "root_step"],
  ),
  { parts: ["root_ratio/root_ratio.wgsl"], entryPoint: "root_ratio" },
  { parts: ["inverse_root/copy_matrices.wgsl"], entryPoint: "copy_matrices" },
];

interface Compilation {
  readonly name: string;
  readonly code: string;
  readonly entryPoint: string;
  readonly constants: Record<string, number>;
  /** Whether it uses them, or is one. */
  readonly subgroups: "none" | "some" | "one";
  readonly needsMemory: boolean;
}

const compilations: Compilation[] = KERNELS.map((
  { parts, prefix = "", entryPoint, constants = {}, needsMemory = false },
) => ({
  name: `${parts.at(0)} ${parts.at(-1)} ${entryPoint} ${prefix.trim()}${JSON.stringify(constants)}`,
  code: prefix + parts.map((part) => readFileSync(new URL(part, SOURCES), "utf8")).join(""),
  entryPoint,
  constants: { ...constants },
  subgroups: parts.includes(IN_SUBGROUP) ? "one" : parts.includes(SUBGROUPS) ? "some" : "none",
  needsMemory,
}));

interface Trial {
  readonly all: Compilation[];
  /** What the compiler is told before a source. */
  readonly directives: Readonly<Record<Compilation["subgroups"], string>>;
}

interface Verdict {
  readonly complaints: string[];
  /** Without, the kernels that use them were left out. */
  readonly hasSubgroups: boolean;
}

/**
 * What the compiler has against each kernel. Runs in this process and in a page, so it stands
 * alone.
 */
async function compileAll({ all, directives }: Trial): Promise<Verdict> {
  // An adapter gives one device.
  const opened = async (name?: "maxComputeWorkgroupStorageSize") => {
    const adapter = await navigator.gpu.requestAdapter();
    const requiredLimits: Record<string, number> = name ? { [name]: adapter!.limits[name] } : {};
    const requiredFeatures = ["subgroups" as GPUFeatureName];
    return await adapter?.requestDevice({ requiredFeatures, requiredLimits })
      .catch(() => adapter.requestDevice({ requiredLimits }));
  };
  // Default limits: the base path must do with them.
  const base = await opened(), roomy = await opened("maxComputeWorkgroupStorageSize");
  if (!base || !roomy) return { complaints: ["no adapter"], hasSubgroups: false };
  const hasSubgroups = base.features.has("subgroups");
  const complaints: string[] = [];
  for (const { name, code, entryPoint, constants, subgroups, needsMemory } of all) {
    if (subgroups !== "none" && !hasSubgroups) continue;
    if (needsMemory && roomy.limits.maxComputeWorkgroupStorageSize < 2 ** 15) continue; // nor does the engine choose it
    const device = needsMemory ? roomy : base;
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code: directives[subgroups] + code });
    const info = await module.getCompilationInfo();
    for (const { message } of info.messages) complaints.push(`${name}: ${message}`);
    device.createComputePipeline({ layout: "auto", compute: { module, entryPoint, constants } });
    const error = await device.popErrorScope();
    if (error !== null) complaints.push(`${name}: ${error.message}`);
  }
  base.destroy();
  roomy.destroy();
  return { complaints, hasSubgroups };
}

function assertClean({ complaints, hasSubgroups }: Verdict): void {
  if (!hasSubgroups) console.log("no subgroups: the kernels that use them are not compiled");
  deepEqual(complaints, []);
}

if (CHROMIUM === undefined) console.log("no Chromium: the kernels are not compiled with Tint");

Deno.test("every .wgsl file of linalg is compiled here", () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".wgsl")).sort();
  const listed = new Set(KERNELS.flatMap(({ parts }) => parts));
  deepEqual(files, [...listed].sort());
});

Deno.test({
  name: "every kernel compiles with naga, without a remark",
  ignore: isWithoutGpu,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const directives = { none: "", some: "", one: "" };
    assertClean(await compileAll({ all: compilations, directives }));
  },
});

Deno.test({
  name: "every kernel compiles with Tint, without a remark, in 16 KiB of workgroup memory",
  ignore: CHROMIUM === undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => new Response("<!doctype html>", { headers: { "content-type": "text/html" } }),
    );
    const browser = await openChromium();
    try {
      const page = await browser.newPage();
      const response = await page.goto(`http://127.0.0.1:${server.addr.port}/`);
      equal(response?.status(), 200);
      const some = "enable subgroups;\n";
      const directives = { none: "", some, one: some + ONE_SUBGROUP };
      assertClean(await page.evaluate(compileAll, { all: compilations, directives }));
    } finally {
      await browser.close();
      await server.shutdown();
    }
  },
});
