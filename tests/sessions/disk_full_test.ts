/** A store without space: a change is refused whole, and taken when there is space again. Needs the right to mount. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { gaussian } from "../support/matrices.ts";
import { startServer } from "./server_process.ts";

/** A small file system of its own, or null where this process may not mount one. */
async function smallDisk(): Promise<
  { path: string; grow(): Promise<void>; end(): Promise<void> } | null
> {
  const path = await Deno.makeTempDir();
  const run = async (program: string, ...args: string[]) =>
    (await new Deno.Command(program, { args, stderr: "null", stdout: "null" }).output()).success;
  try {
    if (!await run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", path)) return null;
  } catch {
    return null;
  }
  return {
    path,
    async grow() {
      ok(await run("mount", "-o", "remount,size=64m", path));
    },
    async end() {
      await run("umount", path);
      await Deno.remove(path);
    },
  };
}

const disk = Deno.build.os === "linux" ? await smallDisk() : null;
if (disk === null) {
  console.log("no file system can be mounted here: the test of a full disk is ignored");
}

Deno.test({
  name: "a full disk answers 507, loses nothing, and is served again when there is space",
  ignore: disk === null,
  fn: async () => {
    const server = await startServer(disk!.path);
    const call = async (method: string, path: string, body?: unknown) => {
      const response = await fetch(`${server.url}/v1/sessions${path}`, {
        method,
        body: body === undefined ? undefined : JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
      return { status: response.status, body: await response.json() };
    };
    const [n, d] = [64, 256];
    const rows = (seed: number) =>
      Array.from({ length: n }, (_, i) => [...gaussian([d], seed * n + i)]);
    const step = (seed: number) => ({
      fisher: "empirical",
      layers: { fc: { inputs: rows(seed), output_gradients: rows(seed + 1) } },
    });
    await call("POST", "", {
      id: "s",
      layers: { fc: { kind: "dense", bias: false, d_in: d, d_out: d } },
      damping: 1,
    });
    let taken = 0;
    let refused = await call("POST", "/s/steps", step(0));
    while (refused.status === 200 && taken < 100) {
      taken++;
      refused = await call("POST", "/s/steps", step(2 * taken));
    }
    equal(refused.status, 507, JSON.stringify(refused.body));
    equal((await fetch(`${server.url}/health/live`)).status, 200);
    equal(refused.body.type, "/problems/store-full");
    equal((await call("GET", "/s")).body.revision, taken);
    equal((await call("GET", "/s/factors")).body.layers.fc.batches, taken);

    await disk!.grow();
    const again = await call("POST", "/s/steps", step(2 * taken));
    equal(again.status, 200, JSON.stringify(again.body));
    equal(again.body.revision, taken + 1);
    const before = (await call("GET", "/s/factors")).body.layers.fc.A;
    await server.kill("SIGKILL");
    const database = new DatabaseSync(`${disk!.path}/sessions.sqlite`);
    equal(database.prepare("PRAGMA quick_check").get()!.quick_check, "ok");
    database.close();

    const next = await startServer(disk!.path);
    const after = await (await fetch(`${next.url}/v1/sessions/s/factors`)).json();
    equal(after.revision, taken + 1);
    equal(JSON.stringify(after.layers.fc.A), JSON.stringify(before));
    await next.kill("SIGTERM");
    await disk!.end();
  },
});
