/** The client alone, bundled for those who load nothing else: its size, and that Node runs it. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { CurvdClient } from "@/trainer/mod.ts";
import { appWith } from "../../routes/fake_compute.ts";
import { printedBy } from "../../support/programs.ts";

const CLIENT = "src/trainer/client/mod.ts";
const LIMIT_BYTES = 100_000;
const ROOT = new URL("../../../", import.meta.url);

/** The minified bundle of the client, as one ES module. */
async function bundled(): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--minify", "--platform", "browser", CLIENT],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

const bundle = await bundled();

Deno.test("the client's bundle is under 100 kB, with no TensorFlow.js, no zod and no Deno in it", () => {
  const bytes = new TextEncoder().encode(bundle).length;
  ok(bytes > 5_000 && bytes < LIMIT_BYTES, `${bytes} bytes`);
  ok(!/tensorflow|ZodError|_zod|Deno\./i.test(bundle));
});

Deno.test("the bundle runs as a module of its own: it asks and is answered", async () => {
  const { CurvdClient: Bundled } = await import(
    `data:text/javascript,${encodeURIComponent(bundle)}`
  ) as { CurvdClient: typeof CurvdClient };
  const app = appWith();
  const client = new Bundled("http://curvd.test", {
    fetch: (async (input: string, init?: RequestInit) =>
      await app.request(input, init)) as typeof fetch,
  });
  equal((await client.device()).engine, "cpu");
});

const node = await printedBy("node", ["--version"]);
const isOld = node !== null && Number(/^v(\d+)/.exec(node)?.[1]) < 20;
if (node === null || isOld) {
  console.warn(
    `SKIPPED: the client in Node, as there is ${node ?? "none"} here (20 or later is needed)`,
  );
}

Deno.test({
  name: "Node runs the bundle: a call with tensors both ways",
  ignore: node === null || isOld,
  async fn() {
    const app = appWith((_, { layers }) => {
      const { M } = layers!.fc as { M: { shape: number[]; data: Float32Array<ArrayBuffer> } };
      const M_root = { dtype: "F32", shape: M.shape, data: M.data.map((value) => value / 2) };
      const timing = { wait_ms: 0, compute_ms: 0, read_ms: 0, total_ms: 0 };
      return { layers: { fc: { M_root } }, timing, warnings: [] };
    });
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, app.fetch);
    const file = await Deno.makeTempFile({ suffix: ".mjs" });
    await Deno.writeTextFile(file, bundle);
    const script = `
      import { CurvdClient } from ${JSON.stringify(`file://${file}`)};
      const client = new CurvdClient("http://127.0.0.1:${server.addr.port}");
      const M = { dtype: "F32", shape: [2, 2], data: new Float32Array([2, 0, 0, 4]) };
      const { layers } = await client.call("inverse-roots", { power: 2, damping: 0, layers: { fc: { M } } });
      console.log(layers.fc.M_root.shape.join(), [...layers.fc.M_root.data].join());
    `;
    const { stdout, stderr } = await new Deno.Command("node", {
      args: ["--input-type=module", "--eval", script],
    }).output();
    await server.shutdown();
    await Deno.remove(file);
    equal(new TextDecoder().decode(stdout).trim(), "2,2 1,0,0,2", new TextDecoder().decode(stderr));
  },
});
