/** The architecture as a test: who may import whom, and what the lock may say. */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";

/** A layer may import those below it. `errors.ts` and `log.ts` are free to all, `exit.ts` to programs. */
const ALLOWED: Record<string, readonly string[]> = {
  engine: [],
  linalg: ["engine"],
  curvature: ["linalg", "engine"],
  sessions: ["curvature", "linalg", "engine", "wire"],
  compute: ["sessions", "curvature", "linalg", "engine", "wire"],
  wire: [],
  admission: [],
  observe: [],
  trainer: ["wire"],
  datasets: [],
  mnist: ["datasets"],
  networks: ["datasets"],
  page: ["trainer", "networks", "datasets"],
  training: ["trainer", "networks", "mnist", "datasets", "engine", "wire"],
  demo: ["training", "trainer", "engine"],
  keys: [],
  routes: ["admission", "observe", "compute", "sessions", "wire", "keys", "mnist"],
};
const FREE = ["@/errors.ts", "@/log.ts"];
const PROGRAM = /\/main\.ts$/;
const ROOT = new URL("../", import.meta.url);

interface Import {
  readonly file: string;
  readonly specifier: string;
}

/** The TypeScript files beneath a folder of the project; none where there is no such folder. */
function filesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap((entry) =>
      entry.isDirectory
        ? filesIn(`${folder}/${entry.name}`)
        : entry.name.endsWith(".ts")
        ? [`${folder}/${entry.name}`]
        : []
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Static and dynamic imports and re-exports, types included. */
function importsOf(folder: string): Import[] {
  return filesIn(folder).flatMap((file) => {
    const source = Deno.readTextFileSync(new URL(file, ROOT));
    const found = source.matchAll(
      /^\s*(?:import|export)\b[^;"]*?\bfrom\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/gm,
    );
    return [...found].map(([, from, bare]) => ({ file, specifier: from ?? bare }));
  });
}

const folderOf = (layer: string) => layer === "routes" ? "routes" : `src/${layer}`;

Deno.test("the search for imports finds them in every form", () => {
  const found = importsOf("routes").filter(({ file }) => file === "routes/docs.ts");
  deepEqual(found.map(({ specifier }) => specifier), [
    "hono",
    "swagger-ui-dist/swagger-ui-bundle.js",
    "swagger-ui-dist/swagger-ui.css",
  ]);
});

for (const [layer, allowed] of Object.entries(ALLOWED)) {
  Deno.test(`${layer} imports only ${allowed.join(", ") || "itself"}, and that by mod.ts`, () => {
    const foreign = importsOf(folderOf(layer)).filter(({ file, specifier }) => {
      if (!specifier.startsWith("@/") || FREE.includes(specifier)) return false;
      if (specifier === "@/exit.ts" && PROGRAM.test(file)) return false;
      // some have a second door: wire for those who do without its schemas, engine and sessions without TensorFlow.js
      const doors = /^@\/(?:(\w+)\/mod|(wire)\/documents|(engine)\/host|(sessions)\/storage)\.ts$/;
      const to = doors.exec(specifier)?.slice(1).find((folder) => folder !== undefined);
      return to === undefined || !allowed.includes(to);
    });
    deepEqual(foreign, []);
  });

  Deno.test(`${layer} reaches its own files only by relative imports within its folder`, () => {
    const folder = folderOf(layer);
    const leaving = importsOf(folder).filter(({ file, specifier }) =>
      specifier.startsWith(".") &&
      !new URL(specifier, new URL(file, ROOT)).href.startsWith(new URL(`${folder}/`, ROOT).href)
    );
    deepEqual(leaving, []);
  });
}

Deno.test("routes load no TensorFlow.js, and only routes and main load Hono", () => {
  const importing = (folder: string, name: RegExp) =>
    importsOf(folder).filter(({ specifier }) => name.test(specifier));
  deepEqual(importing("routes", /tensorflow/), []);
  deepEqual(importing("src/wire", /^(?!\.|@\/errors\.ts$|zod$)/), []);
  deepEqual(importing("src", /hono/), []);
});

/** Specifiers of packages that a file of the project loads when it starts, by whatever way. */
async function packagesOf(entry: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: ROOT,
  }).output();
  interface Module {
    readonly specifier: string;
    readonly dependencies?: readonly { readonly code?: { readonly specifier?: string } }[];
  }
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: Module[] };
  const known = new Map(modules.map((each) => [each.specifier, each]));
  const reached = new Set([new URL(entry, ROOT).href]);
  for (const specifier of reached) {
    for (const { code } of known.get(specifier)?.dependencies ?? []) {
      if (code?.specifier) reached.add(code.specifier); // absent where only types are imported
    }
  }
  return [...reached].filter((specifier) => specifier.startsWith("npm:"));
}

Deno.test("the thread that answers HTTP loads Hono, and no TensorFlow.js: its heap is looked through every few requests", async () => {
  const loaded = await packagesOf("main.ts");
  ok(loaded.some((name) => name.includes("hono")));
  deepEqual(loaded.filter((name) => name.includes("tensorflow")), []);
  const computing = await packagesOf("src/compute/worker.ts");
  ok(computing.some((name) => name.includes("tensorflow")));
});

Deno.test("only config.ts reads the environment of the server", () => {
  const served = [...filesIn("src"), ...filesIn("routes"), "main.ts"].filter((file) =>
    !file.startsWith("src/deploy/") // programs that build and ask, not the server
  );
  const readers = served.filter((file) =>
    /Deno\.env|process\.env/.test(Deno.readTextFileSync(new URL(file, ROOT)))
  );
  deepEqual(readers, ["src/config.ts"]);
});

Deno.test("the lock names no host and no tarball", () => {
  const lock = Deno.readTextFileSync(new URL("src/deno.lock", ROOT));
  ok(!lock.includes("tarball"));
  ok(!lock.includes("://"));
  ok(!/\b[\w-]+\.(com|org|net|io|dev)\b/.test(lock.replaceAll(/"integrity": "[^"]*"/g, "")));
});

Deno.test("no test compares loosely: node:assert/strict's own equal and deepEqual are loose in Deno", () => {
  const loose = filesIn("tests").filter((file) => {
    const source = Deno.readTextFileSync(new URL(file, ROOT));
    const [, names = ""] = /import \{([^}]*)\} from "node:assert\/strict"/.exec(source) ?? [];
    return names.split(",").some((name) =>
      /^\s*(notE|e|deepE|notDeepE)qual\s*(as .*)?$/.test(name)
    );
  });
  deepEqual(loose, []);
});
