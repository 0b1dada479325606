/**
 * `deno task bench:bundle`: one archive that benches and checks the linear algebra on an isolated x86-64 Linux machine with a
 * Vulkan driver: nothing is installed or fetched there.
 *
 *   dist/curvd-bench.tar   deno.xz      this Deno, compressed
 *                          bench.js     bench/bundle/gpu_bench.ts with everything it imports
 *                          peer.py      the same work in torch, for the same card
 *                          run.sh       unpacks and runs; results in gpu-results.json
 *
 * There: `tar xf curvd-bench.tar && sh run.sh`. Needs `xz` and `tar` on both sides, and
 * libvulkan.so.1 there; NVIDIA's driver for it wants libX11 and libXext besides.
 *
 * @module
 */
const ROOT = new URL("../../", import.meta.url);
const DIST = new URL("dist/bundle/", ROOT);
const ARCHIVE = new URL("dist/curvd-bench.tar", ROOT);
const LIMIT_BYTES = 60e6;

const RUN = `#!/bin/sh
# Runs the GPU benches and checks with the Deno beside this file; nothing is fetched.
set -e
cd "$(dirname "$0")"
[ -x deno ] || { xz -dkc deno.xz > deno && chmod +x deno; }
export DENO_DIR="$PWD/cache" DENO_NO_UPDATE_CHECK=1 XDG_RUNTIME_DIR="\${XDG_RUNTIME_DIR:-/tmp}"
exec ./deno run -A --no-remote --no-npm --no-config --no-lock bench.js "$@"
`;

await Deno.mkdir(DIST, { recursive: true });
await run(Deno.execPath(), [
  "bundle",
  "--platform=deno",
  "--minify",
  "-o",
  path(new URL("bench.js", DIST)),
  path(new URL("bench/bundle/gpu_bench.ts", ROOT)),
]);
await Deno.copyFile(new URL("bench/linalg/peer.py", ROOT), new URL("peer.py", DIST));
await Deno.writeTextFile(new URL("run.sh", DIST), RUN);
await Deno.copyFile(Deno.execPath(), new URL("deno", DIST));
await run("xz", ["-6", "-T0", "-f", path(new URL("deno", DIST))]);
await run("tar", [
  "cf",
  path(ARCHIVE),
  "-C",
  path(DIST),
  "deno.xz",
  "bench.js",
  "peer.py",
  "run.sh",
]);
const { size } = await Deno.stat(ARCHIVE);
console.log(`dist/curvd-bench.tar: ${(size / 1e6).toFixed(1)} MB`);
if (size > LIMIT_BYTES) {
  console.error(`It must stay under ${LIMIT_BYTES / 1e6} MB`);
  Deno.exit(1);
}

async function run(program: string, args: string[]): Promise<void> {
  const { success } = await new Deno.Command(program, { args, cwd: ROOT }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")} failed`);
}

function path(url: URL): string {
  return decodeURIComponent(url.pathname);
}
