/** A store whose bits have changed: the session they belong to is named and not served, the others are. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { startServer } from "./server_process.ts";

const D = 64;

Deno.test("a flipped bit of one session's log is told as damage, and other sessions are served", async () => {
  const folder = await Deno.makeTempDir();
  const server = await startServer(folder);
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`${server.url}/v1/sessions${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
    ok(response.ok, await response.text());
  };
  for (const [id, value] of [["damaged", 1.25], ["sound", 2.5]] as const) {
    await post("", { id, layers: { fc: { kind: "dense", bias: false } }, damping: 1 });
    const rows = [new Array(D).fill(value)];
    await post(`/${id}/statistics`, { layers: { fc: { inputs: rows, output_gradients: rows } } });
  }
  await server.kill("SIGTERM"); // which folds the log into the file

  const path = `${folder}/sessions.sqlite`;
  const file = await Deno.readFile(path);
  const needle = new Uint8Array(new Float32Array(D).fill(1.25).buffer);
  const at = file.findIndex((_, i) => needle.every((byte, j) => file[i + j] === byte));
  ok(at > 0, "the batch is not in the file");
  file[at] ^= 1;
  await Deno.writeFile(path, file);

  const again = await startServer(folder);
  const factors = (id: string) => fetch(`${again.url}/v1/sessions/${id}/factors`);
  const damaged = await factors("damaged");
  equal(damaged.status, 500);
  const problem = await damaged.json();
  equal(problem.type, "/problems/store-damaged");
  ok(/entry of session "damaged" at revision 1/.test(problem.detail), problem.detail);
  const sound = await factors("sound");
  equal(sound.status, 200);
  equal((await sound.json()).layers.fc.A[0][0], 2.5 ** 2);
  await again.kill("SIGTERM");
  await Deno.remove(folder, { recursive: true });
});
