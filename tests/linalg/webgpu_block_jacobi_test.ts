/**
 * Block Jacobi, which WebGPU takes where a matrix is too large for a device's workgroups to be reduced to tridiagonal form: all
 * tests of the eigensolver, and those of a warm start.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { gpuTest, tuneTests } from "../support/gpu.ts";
import { assertEigh, decompose, solve, stackOf } from "../support/gpu_linalg.ts";
import { gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";

tuneTests({ tridiagonal: false });

gpuTest("block Jacobi is what is tested here", async (engine) => {
  equal(engine.tuning.tridiagonal, false);
  const { report } = await decompose(engine, gramMatrix(70, 1));
  ok(report.sweeps! > 0);
});

await import("./webgpu_eigh_test.ts");

/** A running average after one more batch, the same for every test. */
function drifted(before: Float32Array, decay: number): Float32Array {
  const fresh = gramMatrix(Math.sqrt(before.length), 2);
  return before.map((value, i) => decay * value + (1 - decay) * fresh[i]);
}

gpuTest("a warm start takes no sweep but among neighbours and is as good", async (engine) => {
  const d = 160;
  const before = gramMatrix(d, 1);
  const after = drifted(before, 0.95);
  const { vectors } = await decompose(engine, before);
  const basis = stackOf(vectors);
  const cold = await decompose(engine, after);
  const warm = await decompose(engine, after, basis);
  basis.dispose();
  assertEigh(after, warm.vectors, warm.values, d, "warm");
  ok(warm.report.sweeps! <= 2, `warm ${warm.report.sweeps}`);
  ok(warm.report.sweeps! < cold.report.sweeps!, `cold ${cold.report.sweeps}`);
  cold.values.forEach((value, i) => ok(Math.abs(value - warm.values[i]) < 1e-5));
});

gpuTest("a warm start far off, where many angles are large, keeps its bounds", async (engine) => {
  const d = 160;
  const before = gramMatrix(d, 1);
  const basis = stackOf((await decompose(engine, before)).vectors);
  for (const after of [drifted(before, 0.5), withSpectrum(logSpaced(d, 6), 3)]) {
    const { vectors, values, report } = await decompose(engine, after, basis);
    assertEigh(after, vectors, values, d, "far off");
    equal(report.engine, "webgpu");
  }
  basis.dispose();
});

gpuTest("a warm start has the same bits whatever else is in the call", async (engine) => {
  const d = 160;
  const before = gramMatrix(d, 1);
  const basis = stackOf((await decompose(engine, before)).vectors);
  const problems = [0.95, 0.5, 0.999].map((decay) => ({
    name: `A ${decay}`,
    matrix: stackOf(drifted(before, decay)),
    warmStart: basis,
  }));
  const together = await solve(engine, (linalg) => linalg.eigh(problems));
  for (const [at, problem] of problems.entries()) {
    const { arrays } = await solve(engine, (linalg) => linalg.eigh([problem]));
    deepEqual(together.arrays.slice(2 * at, 2 * at + 2), arrays);
    problem.matrix.dispose();
  }
  basis.dispose();
});

gpuTest("a warm start that is no basis at all is noticed and redone in float64", async (engine) => {
  const d = 80, m = gramMatrix(d, 1);
  const basis = stackOf(gramMatrix(d, 7).map((value) => 3 * value));
  const { vectors, values, report } = await decompose(engine, m, basis);
  basis.dispose();
  assertEigh(m, vectors, values, d, "no basis");
  equal(report.engine, "float64");
});

gpuTest("eigh() is the same in 16 KiB of workgroup memory as in more", async (engine) => {
  // Q of a 64 x 64 pivot is then kept in storage; same arithmetic, so the same bits.
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = engine.device.limits;
  const limits = {
    maxStorageBufferBindingSize,
    maxComputeWorkgroupsPerDimension,
    maxComputeWorkgroupStorageSize: 16384,
  };
  const modest = new Proxy(engine, {
    get(target, name) {
      if (name === "device") return { limits };
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const m = gramMatrix(60, 4);
  const inModest = await decompose(modest, m);
  const inFull = await decompose(engine, m);
  deepEqual(inModest.vectors, inFull.vectors);
  deepEqual(inModest.values, inFull.values);
});
