/**
 * `deno task bundle`: the scripts that the server serves under /page, in dist/page/.
 *
 *   main.js        the page at /
 *   trainer.js     TensorFlow.js and the trainer, for pages of your own
 *   and a chunk that both share
 *
 * Like make: where the sources are those of the last time, nothing is done.
 *
 * @module
 */
/// <reference lib="deno.unstable" />

const ROOT = new URL("../../", import.meta.url);
const DIST = new URL("dist/page/", ROOT);
/** Digest of the sources that dist/page/ was made of; written last, so that half a bundle is none. */
const DIGEST = new URL("sources.sha256", DIST);
/** What the scripts are made of, beside packages, which the lock has. */
const SOURCES = ["deno.json", "src/deno.lock", "src/errors.ts"];
const FOLDERS = ["src/page", "src/trainer", "src/wire", "src/datasets", "src/networks"];

const digest = await digestOf(await sources());
if (await readText(DIGEST) !== digest) {
  await build();
  await Deno.writeTextFile(DIGEST, digest);
}

async function build(): Promise<void> {
  const { success, errors, outputFiles } = await Deno.bundle({
    entrypoints: ["main.ts", "trainer.ts"].map((name) => path(new URL(`src/page/${name}`, ROOT))),
    outputDir: path(DIST),
    platform: "browser",
    format: "esm",
    codeSplitting: true,
    minify: true,
    write: false,
  });
  if (!success) {
    throw new Error(`Cannot bundle the page: ${errors.map(({ text }) => text).join("; ")}`);
  }
  const files = new Map(outputFiles!.map((file) => [file.path.split("/").at(-1)!, file.contents!]));
  await Deno.mkdir(DIST, { recursive: true });
  for await (const { name } of Deno.readDir(DIST)) {
    if (!files.has(name)) await Deno.remove(new URL(name, DIST)).catch(() => {}); // another has
  }
  for (const [name, contents] of files) {
    const partial = new URL(`${name}.${Deno.pid}`, DIST); // others may build, or serve, meanwhile
    await Deno.writeFile(partial, contents);
    await Deno.rename(partial, new URL(name, DIST));
  }
}

/** Paths of the sources, sorted. */
async function sources(): Promise<string[]> {
  const found = [...SOURCES];
  const walk = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
      if (isDirectory) await walk(`${folder}/${name}`);
      else if (/\.ts$/.test(name)) found.push(`${folder}/${name}`);
    }
  };
  for (const folder of FOLDERS) await walk(folder);
  return found.sort();
}

/** SHA-256 over names and contents. */
async function digestOf(names: readonly string[]): Promise<string> {
  const parts = await Promise.all(names.map(async (name) => {
    const contents = await Deno.readFile(new URL(name, ROOT));
    return `${name} ${hex(await crypto.subtle.digest("SHA-256", contents))}`;
  }));
  return hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(parts.join("\n"))));
}

function hex(bytes: ArrayBuffer): string {
  return new Uint8Array(bytes).toHex();
}

async function readText(file: URL): Promise<string | null> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function path(url: URL): string {
  return decodeURIComponent(url.pathname);
}
