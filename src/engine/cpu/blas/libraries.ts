/**
 * Where a BLAS with LAPACK is found, by operating system, in the order tried.
 *
 * @module
 */

/** A library that may be there. */
export interface Candidate {
  readonly library: "openblas" | "accelerate";
  /** What `dlopen` is given: a bare name is looked up by the system's loader. */
  readonly path: string;
}

const openblas = (path: string): Candidate => ({ library: "openblas", path });

/**
 * Bare names first, which honour `LD_LIBRARY_PATH` and the distribution's choice between builds; then paths, which also
 * serve where the loader is not asked (a permission that names files, a keg that is not linked).
 */
const CANDIDATES: Readonly<Record<string, readonly Candidate[]>> = {
  linux: [
    "libopenblas.so.0", // Debian, Ubuntu, Fedora, Arch, conda
    "libopenblas.so.3", // Alpine
    "libopenblasp.so.0", // Fedora's build with its own threads
    "libopenblas.so",
    ...["x86_64-linux-gnu", "aarch64-linux-gnu"].flatMap((triplet) =>
      ["openblas-pthread/", "openblas-openmp/", "openblas-serial/", ""].map((build) =>
        `/usr/lib/${triplet}/${build}libopenblas.so.0`
      )
    ),
    "/usr/lib64/libopenblasp.so.0",
    "/usr/lib64/libopenblas.so.0",
    "/usr/lib/libopenblas.so.3",
    "/usr/lib/libopenblas.so",
    "/usr/local/lib/libopenblas.so",
    "/opt/OpenBLAS/lib/libopenblas.so",
  ].map(openblas),
  darwin: [
    {
      library: "accelerate",
      path: "/System/Library/Frameworks/Accelerate.framework/Accelerate",
    },
    ...[
      "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
      "/usr/local/opt/openblas/lib/libopenblas.dylib",
      "/opt/local/lib/libopenblas.dylib",
      "libopenblas.dylib",
    ].map(openblas),
  ],
  windows: ["openblas.dll", "libopenblas.dll"].map(openblas),
};

/** The libraries to try on an operating system (`Deno.build.os`). */
export function candidates(os: string): readonly Candidate[] {
  return CANDIDATES[os] ?? CANDIDATES.linux;
}

/** A library given by its path; what it is shows in its name. */
export function candidateAt(path: string): Candidate {
  return { library: path.includes("Accelerate") ? "accelerate" : "openblas", path };
}
