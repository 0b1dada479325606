/** A server with keys, as a process: two keys on the same names, and what its log has kept of it all. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { makeKey } from "../../src/keys/mod.ts";
import { startServer } from "../sessions/server_process.ts";

/** Numbers, words and secrets that nothing but a leak can bring into the log. */
const NUMBER = 731.8273;
const SECRETS = [
  "query-secret-of-the-test",
  "header-secret-of-the-test",
  "curvd_wrong-of-the-test",
];

const SESSION = {
  id: "mlp",
  method: "kfac",
  damping: 0.1,
  layers: { fc1: { kind: "dense", d_in: 2, d_out: 2, bias: false } },
};
const STEP = {
  fisher: "empirical",
  layers: {
    fc1: {
      inputs: [[NUMBER, 0.5], [1, -NUMBER]],
      output_gradients: [[0.5, 1], [-1, 0.25]],
    },
  },
};

Deno.test(
  "another key can neither list, see, step, download, watch, restore over nor delete a session; \
and the log has neither keys nor values",
  async () => {
    const folder = await Deno.makeTempDir();
    const [mine, others] = ["mine", "others"].map((id) => makeKey(id, ["read", "compute"]));
    await Deno.writeTextFile(`${folder}/keys`, `${mine.line}\n${others.line}\n`);
    const server = await startServer(
      `${folder}/data`,
      { CURVD_KEYS: `${folder}/keys`, CURVD_LOG: "json", CURVD_LOG_LEVEL: "debug" },
      ["task", "--quiet", "serve"],
    );
    let requests = 0;
    const ask = async (secret: string, method: string, path: string, body?: unknown) => {
      requests++;
      const response = await fetch(`${server.url}${path}?note=${SECRETS[0]}`, {
        method,
        headers: {
          authorization: `Bearer ${secret}`,
          "x-note": SECRETS[1],
          ...(body === undefined ? {} : {
            "content-type": body instanceof Uint8Array
              ? "application/vnd.safetensors"
              : "application/json",
          }),
        },
        body: body instanceof Uint8Array
          ? body as Uint8Array<ArrayBuffer>
          : body === undefined
          ? undefined
          : JSON.stringify(body),
      });
      return { status: response.status, bytes: await response.bytes() };
    };
    const json = ({ bytes }: { bytes: Uint8Array }) => JSON.parse(new TextDecoder().decode(bytes));

    // mine: a session that has moved
    equal((await ask(mine.secret, "POST", "/v1/sessions", SESSION)).status, 201);
    const stepped = await ask(mine.secret, "POST", "/v1/sessions/mlp/steps", STEP);
    equal(stepped.status, 200, new TextDecoder().decode(stepped.bytes));
    const checkpoint = await ask(mine.secret, "GET", "/v1/sessions/mlp/checkpoint");
    equal(checkpoint.status, 200);

    // the other's: every path of the reference that names a session answers as if there were none
    const { paths } = json(await ask(others.secret, "GET", "/openapi.json"));
    deepEqual(json(await ask(others.secret, "GET", "/v1/sessions")).sessions, []);
    let tried = 0;
    for (const [path, operations] of Object.entries<Record<string, Operation>>(paths)) {
      if (!path.includes("/sessions/{id}")) continue;
      for (const [method, { requestBody }] of Object.entries(operations)) {
        if (path.endsWith("/checkpoint") && method === "put") continue; // makes a session: below
        const body = requestBody?.content["application/json"]?.example;
        const answer = await ask(
          others.secret,
          method.toUpperCase(),
          path.replace("{id}", "mlp"),
          body,
        );
        equal(answer.status, 404, `${method} ${path}: ${new TextDecoder().decode(answer.bytes)}`);
        equal(json(answer).type, "/problems/not-found");
        ok(!new TextDecoder().decode(answer.bytes).includes("mine"));
        tried++;
      }
    }
    ok(tried >= 11, `${tried} calls of sessions were tried`);

    // the same name is free to the other key, whether made or restored, and touches nothing of mine
    const restored = await ask(
      others.secret,
      "PUT",
      "/v1/sessions/mlp/checkpoint",
      checkpoint.bytes,
    );
    equal(restored.status, 200, new TextDecoder().decode(restored.bytes));
    equal(json(await ask(others.secret, "GET", "/v1/sessions/mlp")).id, "mlp");
    equal((await ask(others.secret, "DELETE", "/v1/sessions/mlp")).status, 200);
    equal((await ask(others.secret, "POST", "/v1/sessions", SESSION)).status, 201);
    const here = json(await ask(mine.secret, "GET", "/v1/sessions/mlp"));
    deepEqual([here.id, here.revision, here.steps], ["mlp", 1, 1]);

    // refusals of every kind, for the log
    equal((await ask(SECRETS[2], "GET", "/v1/sessions")).status, 401);
    equal((await ask(mine.secret, "GET", "/metrics")).status, 403);
    const indefinite = { layers: { fc1: { A: [[1, NUMBER], [NUMBER, 1]] } }, damping: 0.1 };
    equal((await ask(mine.secret, "POST", "/v1/inverses", indefinite)).status, 422);
    const ragged = { layers: { fc1: { A: [[NUMBER], [1, 2]] } }, damping: 0.1 };
    equal((await ask(mine.secret, "POST", "/v1/inverses", ragged)).status, 422);
    const torn = new TextEncoder().encode(`${NUMBER}${SECRETS[1]}`);
    equal((await ask(mine.secret, "POST", "/v1/inverses", torn)).status, 400);

    // a key that is taken out of the file opens nothing more, without a restart
    await Deno.writeTextFile(`${folder}/keys`, mine.line);
    let status = 200;
    for (let i = 0; i < 100 && status !== 401; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      ({ status } = await ask(others.secret, "GET", "/v1/sessions"));
    }
    equal(status, 401);

    await server.kill("SIGTERM");
    const written = server.output() + server.errors();
    for (const word of [mine.secret, others.secret, ...SECRETS, String(NUMBER), "731.8"]) {
      ok(!written.includes(word), `"${word}" is in the log`);
    }
    const events = server.output().trim().split("\n").map((line) => JSON.parse(line));
    const told = events.filter(({ method }) => method !== undefined);
    equal(told.length, requests);
    equal(new Set(told.map(({ request }) => request)).size, requests);
    ok(
      told.some(({ key, session, status }) =>
        key === "others" && session === "mlp" && status === 404
      ),
    );
    await Deno.remove(folder, { recursive: true });
  },
);

interface Operation {
  requestBody?: { content: Record<string, { example?: unknown }> };
}
