/**
 * OpenBLAS kernels for the processor that is there, not the one that was known when the library was built.
 *
 * A processor newer than the library counts as "Haswell" or "Zen": right, but with vectors of 256 bits. Where it has
 * AVX-512, the kernels for SkylakeX run twice as fast (sgemm at 1024: 9.0 and 4.7 ms on an AMD EPYC with OpenBLAS
 * 0.3.21). The choice is made while the library loads, from `OPENBLAS_CORETYPE`.
 *
 * @module
 */

/** Names under which OpenBLAS files what it takes for a processor with AVX2 at most. */
const WITHOUT_AVX512 = ["Haswell", "Zen"];

/** AVX-512 F, DQ, CD, BW and VL in EBX of CPUID leaf 7: what the SkylakeX kernels use. */
const SKYLAKEX_FEATURES = [16, 17, 28, 30, 31];

/** Place of CPUID leaf 7 in glibc's table. */
const LEAF_7 = 1;

/** Place of EBX in glibc's `struct cpuid_feature`, among the features that the system lets processes use. */
const ACTIVE_EBX = 5;

/**
 * Sets `OPENBLAS_CORETYPE` for the next load, unless somebody set it already.
 *
 * @param core what the loaded library says of itself.
 * @returns whether the library should be loaded again.
 */
export function preferWiderVectors(core: string): boolean {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return false;
  if (!WITHOUT_AVX512.includes(core)) return false;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return false;
  let libc;
  try { // glibc from 2.33 tells the features; another libc does not
    libc = Deno.dlopen("libc.so.6", {
      __x86_get_cpuid_feature_leaf: { parameters: ["u32"], result: "pointer" },
      getenv: { parameters: ["buffer"], result: "pointer" },
      setenv: { parameters: ["buffer", "buffer", "i32"], result: "i32" },
    });
  } catch {
    return false;
  }
  const { __x86_get_cpuid_feature_leaf: features, getenv, setenv } = libc.symbols;
  const name = cString("OPENBLAS_CORETYPE");
  const leaf = features(LEAF_7);
  const isWider = leaf !== null && getenv(name) === null && hasSkylakexFeatures(leaf);
  if (isWider) setenv(name, cString("SKYLAKEX"), 0);
  libc.close();
  return isWider;
}

function hasSkylakexFeatures(leaf: Deno.PointerObject): boolean {
  const ebx = new Deno.UnsafePointerView(leaf).getUint32(4 * ACTIVE_EBX);
  return SKYLAKEX_FEATURES.every((bit) => (ebx >>> bit) % 2 === 1);
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
