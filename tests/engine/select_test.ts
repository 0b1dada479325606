import { match, ok, rejects, strictEqual as equal } from "node:assert/strict";
import { openEngine } from "@/engine/mod.ts";

/** Runs with a WebGPU that offers this adapter, or none. */
async function withAdapter<T>(info: object | null, run: () => Promise<T>): Promise<T> {
  const gpu = navigator.gpu;
  const own = Object.getOwnPropertyDescriptor(gpu, "requestAdapter");
  const adapter = info === null ? null : { info, isFallbackAdapter: false };
  Object.defineProperty(gpu, "requestAdapter", {
    configurable: true,
    value: () => Promise.resolve(adapter),
  });
  try {
    return await run();
  } finally {
    if (own) Object.defineProperty(gpu, "requestAdapter", own);
    else delete (gpu as unknown as Record<string, unknown>).requestAdapter;
  }
}

const SOFTWARE = {
  vendor: "mesa",
  architecture: "",
  device: "0",
  description: "llvmpipe (LLVM 15.0.6, 256 bits)",
};

function selectTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, sanitizeResources: false, sanitizeOps: false });
}

selectTest("auto takes the cpu where there is no adapter, and says so", async () => {
  const { kind, facts } = await withAdapter(
    null,
    () => openEngine({ engine: "auto", blas: "off" }),
  );
  equal(kind, "cpu");
  match(facts.reason, /no WebGPU adapter.*BLAS is off/);
});

selectTest("auto never takes a software adapter, and names it", async () => {
  const { kind, facts } = await withAdapter(
    SOFTWARE,
    () => openEngine({ engine: "auto", blas: "off" }),
  );
  equal(kind, "cpu");
  match(facts.reason, /llvmpipe.*software/);
});

selectTest("the cpu engine names the BLAS that it found, or says that there is none", async () => {
  const { reason, blas } = (await openEngine({ engine: "cpu", blas: "auto" })).facts;
  ok(reason.includes(blas === null ? "No BLAS was found" : blas.path), reason);
});

Deno.test({
  name: "without the right to call libraries no BLAS is found, and the reason says so",
  permissions: { ffi: false },
  fn: async () => {
    const { facts } = await openEngine({ engine: "cpu", blas: "auto" });
    equal(facts.blas, null);
    match(facts.reason, /No BLAS was found/);
  },
});

selectTest("webgpu asked for without an adapter is refused with what to do", async () => {
  await rejects(
    withAdapter(null, () => openEngine({ engine: "webgpu", blas: "off" })),
    { name: "CurvdError", code: "unsupported" },
  );
});

selectTest("a BLAS named by a path that does not open is refused, naming it", async () => {
  await rejects(openEngine({ engine: "cpu", blas: "/nowhere/libblas.so" }), (error) => {
    ok(error instanceof Error);
    match(error.message, /\/nowhere\/libblas\.so/);
    return true;
  });
});

selectTest(
  "the cpu engine without a BLAS computes in the built-in float64 and says so",
  async () => {
    const engine = await openEngine({ engine: "cpu", blas: "off" });
    equal(engine.facts.blas, null);
    equal(engine.float64.library, "built-in");
  },
);

selectTest("opening the cpu engine prints nothing", async () => {
  const script = `
    import { tensor1d } from "@tensorflow/tfjs-core";
    import { openEngine } from "@/engine/mod.ts";
    const engine = await openEngine({ engine: "cpu", blas: "off" });
    await engine.read([tensor1d([1])]);
    Deno.exit(0);
  `;
  const root = decodeURIComponent(new URL("../../", import.meta.url).pathname);
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-check",
      "--allow-env",
      `--config=${root}deno.json`,
      "--ext=ts",
      "-",
    ],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { code, stdout, stderr } = await process.output();
  equal(new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr), "");
  equal(code, 0);
});
