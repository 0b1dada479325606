/** The README's word: its examples run as printed, its tables say what the server says. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { helpText } from "../src/config.ts";
import { startServer } from "../src/training/server.ts";
import { MAX_DAMPINGS, MAX_LAYERS } from "../src/wire/schema.ts";
import { MAX_NUMBERS } from "../src/wire/json_limits.ts";
import { MAX_HEADER_BYTES } from "../src/wire/safetensors.ts";
import { printedBy } from "./support/programs.ts";
import { PYTHON, pythonHas } from "./support/python.ts";

const ROOT = new URL("../", import.meta.url);
/** The address in the examples; only this is replaced. */
const PRINTED_URL = "http://127.0.0.1:5322";

const readme = Deno.readTextFileSync(new URL("README.md", ROOT));
const server = await startServer();
Deno.test.afterAll(() => server.stop());

interface Fence {
  readonly language: string;
  readonly text: string;
}

/** Fenced blocks, in order. */
const fences: Fence[] = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
  .map(([, language, text]) => ({ language, text }));

/** Examples of a language, each with the block after it: what it answers or prints. */
function examples(language: string, start = ""): { source: string; then: Fence }[] {
  return fences.flatMap(({ language: found, text }, at) =>
    found === language && text.startsWith(start) ? [{ source: text, then: fences[at + 1] }] : []
  );
}

async function run(program: string, args: string[], source: string): Promise<string> {
  const child = new Deno.Command(program, {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source.replaceAll(PRINTED_URL, server.url)));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Fails where `printed` says what `answered` does not: it may leave fields out and round numbers. */
function agree(printed: unknown, answered: unknown, path = ""): void {
  if (typeof printed === "number" && typeof answered === "number") {
    ok(
      Math.abs(printed - answered) <= 1e-5 * Math.max(1, Math.abs(printed)),
      `${path}: ${answered}`,
    );
  } else if (typeof printed === "object" && printed !== null) {
    if (Array.isArray(printed)) equal((answered as unknown[]).length, printed.length, path);
    for (const [field, value] of Object.entries(printed)) {
      agree(value, (answered as Record<string, unknown>)?.[field], `${path}/${field}`);
    }
  } else deepEqual(answered, printed, path);
}

/** Rows of the table under these column heads, cells trimmed, code marks taken off. */
function tableUnder(...heads: string[]): string[][] {
  const cellsOf = (line: string) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", ""));
  const lines = readme.split("\n");
  const at = lines.findIndex((line) => `${cellsOf(line)}` === `${heads}`);
  ok(at >= 0, `README has no table of ${heads}`);
  const end = lines.findIndex((line, index) => index > at && !line.startsWith("|"));
  return lines.slice(at + 2, end).map(cellsOf);
}

const curls = examples("sh", "curl");
equal(curls.length, 4);
const hasCurl = await printedBy("curl", ["--version"]) !== null;
if (!hasCurl) console.warn("NOT TESTED: the README's calls by curl; there is no curl");
for (const [index, { source, then }] of curls.entries()) {
  Deno.test({
    name: `curl example ${index + 1} answers what is printed under it`,
    ignore: !hasCurl,
    fn: async () => {
      equal(then.language, "json");
      agree(JSON.parse(then.text), JSON.parse(await run("sh", [], source)));
    },
  });
}

const python = examples("python");
equal(python.length, 1);
const hasPython = await pythonHas(
  ["numpy", "requests", "safetensors"],
  "the README's Python example",
);
Deno.test({
  name: "the Python example prints what is printed under it",
  ignore: !hasPython,
  fn: async () => equal(await run(PYTHON, ["-"], python[0].source), python[0].then.text),
});

const typescript = examples("ts");
equal(typescript.length, 3);
for (const [index, { source, then }] of typescript.entries()) {
  Deno.test(`TypeScript example ${index + 1} type-checks and prints what is printed under it`, async () => {
    const args = ["run", "--check", "--no-prompt", "--allow-net=127.0.0.1", "--ext=ts", "-"];
    equal(await run(Deno.execPath(), args, source), then.text);
  });
}

Deno.test("the commands under Start and Development are tasks of deno.json", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  const named = [...readme.matchAll(/(?:deno(?:@2\.9\.6)? task) ([\w:]+)/g)].map(([, task]) =>
    task
  );
  ok(named.length >= 5);
  deepEqual(named.filter((task) => tasks[task] === undefined), []);
});

Deno.test("the table of methods is what GET /v1/methods answers", async () => {
  const { methods } = await (await fetch(`${server.url}/v1/methods`)).json();
  const expected = methods.map((
    { method, approximation, layers, paper }: Record<string, string & string[]>,
  ) => [method, approximation, layers.join(", "), paper]);
  const heads = ["method", "F of a layer is taken to be", "kinds of layer", "paper"];
  deepEqual(tableUnder(...heads), expected);
});

Deno.test("the table of calls is the paths of the server's reference", async () => {
  const { paths } = await (await fetch(`${server.url}/openapi.json`)).json();
  const rows = tableUnder("call", "of each layer in", "of each layer out");
  const calls = rows.flatMap(([calls]) => calls.split(", "));
  const served = Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  );
  deepEqual(calls.sort(), served.sort());
});

Deno.test("the table of settings is what --help prints", () => {
  const printed = [...helpText().matchAll(/^ {2}(CURVD_\w+) +(.*) \((.*)\)$/gm)];
  const expected = printed.map(([, name, meaning, fallback]) => [name, fallback, meaning]);
  ok(expected.length >= 6);
  deepEqual(tableUnder("setting", "default", "meaning"), expected);
});

Deno.test("the table of limits is the code's", () => {
  const limits = new Map(tableUnder("what", "how much").map(([what, much]) => [what, much]));
  const numberOf = (what: string) =>
    Number(limits.get(what)?.match(/^[\d ]+/)?.[0].replaceAll(" ", ""));
  equal(numberOf("numbers of a JSON body"), MAX_NUMBERS);
  equal(numberOf("header of a safetensors file") * 2 ** 20, MAX_HEADER_BYTES);
  equal(numberOf("layers of a request"), MAX_LAYERS);
  equal(numberOf("values of a damping list"), MAX_DAMPINGS);
});

Deno.test("every file and folder that the README links to or names exists", async () => {
  const linked = [...readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, path]) => path);
  const named = [...readme.matchAll(/`((?:src|routes|tests|bench)\/[\w/.]*)`/g)].map(([, path]) =>
    path
  );
  ok(linked.length > 0 && named.length > 5);
  for (const path of [...linked, ...named]) await Deno.stat(new URL(path, ROOT));
});
