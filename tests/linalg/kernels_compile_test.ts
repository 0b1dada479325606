/**
 * Every kernel compiles in both compilers: naga (this process) and Tint (Chromium, where it is
 * installed).
 *
 * They differ in what they accept: Tint refuses a barrier in non-uniform flow and workgroup memory
 * over 16 KiB, which naga lets pass; naga refuses what it does not know yet.
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { CHROMIUM, openChromium } from "../support/chromium.ts";

const SOURCES = new URL("../../src/linalg/", import.meta.url);

/** A kernel as the product launches it. */
interface Kernel {
  /** Files that are joined. */
  readonly parts: readonly string[];
  readonly entryPoint: string;
  readonly constants?: Readonly<Record<string, number>>;
}

const state = "padded/state.wgsl";
const tile = "padded/tile_product.wgsl";

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

const KERNELS: readonly Kernel[] = [
  ...matmul,
  { parts: ["matmul/sum_splits.wgsl"], entryPoint: "sum_splits" },
  ...withState("padded/load.wgsl", "load"),
  ...withState("padded/survey.wgsl", "survey_rows", "survey"),
  ...withState("padded/prepare.wgsl", "prepare"),
  ...withState("padded/unload.wgsl", "unload"),
  { parts: ["padded/load_basis.wgsl"], entryPoint: "load_basis" },
  ...withState("cholesky_inverse/pivot_block.wgsl", "pivot_block"),
  ...["block_row", "trailing_update"].map((entryPoint) => ({
    parts: [tile, `cholesky_inverse/${entryPoint}.wgsl`],
    entryPoint,
    constants: { QUADS: 16 },
  })),
  ...withState("probe/probe.wgsl", "probe"),
  ...withState("probe/judge_inverse.wgsl", "judge_inverse"),
  ...withState("probe/judge_orthogonality.wgsl", "judge_orthogonality"),
  ...withState("probe/exact_residual.wgsl", "square_rows", "exact_residual"),
  ...jacobi,
  ...[8, 16].map((QUADS) => ({
    parts: [state, tile, "eigh/rotate.wgsl"],
    entryPoint: "rotate",
    constants: { QUADS },
  })),
  ...["off_diagonal_rows", "convergence"].map((entryPoint) => ({
    parts: [state, "eigh/gap.wgsl", "eigh/convergence.wgsl"],
    entryPoint,
  })),
  { parts: ["eigh/gap.wgsl", "eigh/first_order.wgsl"], entryPoint: "first_order" },
  ...withState("eigh/rayleigh.wgsl", "rayleigh"),
  ...withState("eigh/sort.wgsl", "sort", "judge_eigh"),
  ...withState("eigh/unload_values.wgsl", "unload_values"),
  ...withState(
    "inverse_root/coupled_newton.wgsl",
    ...["root_norm_rows", "root_norm", "root_start"],
    ...["root_error_rows", "root_convergence", "root_step"],
  ),
  { parts: ["inverse_root/copy_matrices.wgsl"], entryPoint: "copy_matrices" },
];

interface Compilation {
  readonly name: string;
  readonly code: string;
  readonly entryPoint: string;
  readonly constants: Record<string, number>;
}

const compilations: Compilation[] = KERNELS.map(({ parts, entryPoint, constants = {} }) => ({
  name: `${parts.at(-1)} ${entryPoint} ${JSON.stringify(constants)}`,
  code: parts.map((part) => readFileSync(new URL(part, SOURCES), "utf8")).join(""),
  entryPoint,
  constants: { ...constants },
}));

/**
 * What the compiler has against each kernel. Runs in this process and in a page, so it stands
 * alone.
 */
async function complaints(all: Compilation[]): Promise<string[]> {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) return ["no adapter"];
  const device = await adapter.requestDevice(); // default limits: the base path must do with them
  const found: string[] = [];
  for (const { name, code, entryPoint, constants } of all) {
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code });
    const info = await module.getCompilationInfo();
    for (const { message } of info.messages) found.push(`${name}: ${message}`);
    device.createComputePipeline({ layout: "auto", compute: { module, entryPoint, constants } });
    const error = await device.popErrorScope();
    if (error !== null) found.push(`${name}: ${error.message}`);
  }
  device.destroy();
  return found;
}

if (CHROMIUM === undefined) console.log("no Chromium: the kernels are not compiled with Tint");

const hasAdapter = await navigator.gpu?.requestAdapter() ?? null;

Deno.test("every .wgsl file of linalg is compiled here", () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".wgsl")).sort();
  const listed = new Set(KERNELS.flatMap(({ parts }) => parts));
  deepEqual(files, [...listed].sort());
});

Deno.test({
  name: "every kernel compiles with naga, without a remark",
  ignore: hasAdapter === null,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => deepEqual(await complaints(compilations), []),
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
      deepEqual(await page.evaluate(complaints, compilations), []);
    } finally {
      await browser.close();
      await server.shutdown();
    }
  },
});
