/** Checkpoints as files: what Python's safetensors makes of them, and what becomes of those that are not whole. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { memory } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  openSafetensors,
  writeElements,
} from "@/wire/mod.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { distance } from "../support/dense.ts";
import { PYTHON, pythonHas } from "../support/python.ts";
import { joined } from "../wire/bytes.ts";
import { DAMPING, LAYERS, layersFor } from "./batches.ts";
import { type Client, tensorIn, withSessions } from "./support.ts";

const FILE = { "content-type": "application/vnd.safetensors" };

/** A client with session "s" of EKFAC, three steps old. */
function withSession(
  engine: Engine,
  run: (client: Client, file: Uint8Array<ArrayBuffer>) => Promise<void>,
) {
  return withSessions(engine, async (client) => {
    const session = { layers: LAYERS, method: "ekfac", damping: DAMPING, refresh: { every: 2 } };
    await client.expect("POST", "", { ...session, id: "s" });
    for (const step of [0, 1, 2]) {
      await client.expect("POST", "/s/steps", { layers: layersFor("ekfac", step) });
    }
    const response = await client.request("/s/checkpoint");
    const file = await response.bytes();
    equal(response.headers.get("content-length"), String(file.length));
    await run(client, file);
  });
}

const put = async ({ request }: Client, id: string, body: BodyInit, headers = {}) => {
  const response = await request(`/${id}/checkpoint`, {
    method: "PUT",
    body,
    headers: { ...FILE, ...headers },
  });
  return { status: response.status, body: await response.json() };
};

/** The same tensors and words in the order and with the alignment that another writer has. */
const READ_AND_WRITE = `
import sys
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
source, target = sys.argv[1:]
tensors = load_file(source)
with safe_open(source, "numpy") as file:
    save_file(tensors, target, metadata=file.metadata())
a = tensors["fc1.average.A"]
print(a.shape, repr(float(a.sum(dtype="float64"))), sorted(tensors)[0])
`;

const hasPython = await pythonHas(["numpy", "safetensors.numpy"], "checkpoints in Python");

// Python's library is not there on every machine: without it the test is counted as ignored, and said to be, not left out
const pythonTest: EngineTest = hasPython ? cpuTest : (name) => Deno.test.ignore(name, () => {});

pythonTest(
  "Python's safetensors reads a checkpoint, and what it writes goes on as a session",
  (engine) =>
    withSession(engine, async (client, file) => {
      const folder = await Deno.makeTempDir();
      const [source, target] = [`${folder}/out.safetensors`, `${folder}/in.safetensors`];
      await Deno.writeFile(source, file);
      const { stdout, stderr, success } = await new Deno.Command(PYTHON, {
        args: ["-c", READ_AND_WRITE, source, target],
      }).output();
      ok(success, new TextDecoder().decode(stderr));
      const { data } = tensorIn(await client.expect("GET", "/s/factors"), "fc1", "A");
      const sum = [...data].reduce((sum, value) => sum + value, 0);
      const [, shape, said, first] = /^(\(.*\)) (\S+) (\S+)/.exec(
        new TextDecoder().decode(stdout),
      )!;
      equal(shape, "(1, 4, 4)");
      ok(Math.abs(Number(said) - sum) <= 1e-12 * Math.abs(sum), `${said} is not ${sum}`);
      equal(first, "fc1.average.A");
      equal((await put(client, "copy", await Deno.readFile(target))).status, 200);
      await Deno.remove(folder, { recursive: true });
      for (const step of [3, 4]) {
        const a = await client.expect("POST", "/s/steps", { layers: layersFor("ekfac", step) });
        const b = await client.expect("POST", "/copy/steps", { layers: layersFor("ekfac", step) });
        equal(distance(tensorIn(a, "fc1", "update").data, tensorIn(b, "fc1", "update").data), 0);
      }
    }),
);

cpuTest(
  "a checkpoint of unknown length, in pieces of any size, is taken",
  (engine) =>
    withSession(engine, async (client, file) => {
      const body = ReadableStream.from(function* () {
        for (let at = 0, size = 1; at < file.length; at += size, size = size * 7 % 97 + 1) {
          yield file.subarray(at, at + size);
        }
      }());
      equal((await put(client, "copy", body)).status, 200);
      deepEqual(
        (await client.expect("GET", "/copy/factors")).layers,
        (await client.expect("GET", "/s/factors")).layers,
      );
    }),
);

cpuTest(
  "a checkpoint that is not whole, or not a session's, is refused and leaves nothing",
  (engine) =>
    withSession(engine, async (client, file) => {
      const { metadata, tensors } = decodeSafetensors(file.slice());
      const words = Object.fromEntries(metadata);
      const written = (
        change: (all: Map<string, Float32Array<ArrayBuffer>>) => void,
        of = words,
      ) => {
        const all = new Map(
          [...tensors].map(([name, { data }]) => [name, data.slice() as Float32Array<ArrayBuffer>]),
        );
        change(all);
        return joined(encodeSafetensors(
          of,
          new Map([...all].map(([name, data]) => [name, {
            dtype: "F32",
            shape: tensors.get(name)?.shape ?? [data.length],
            bytes: writeElements("F32", data),
          }])),
        ));
      };
      equal((await put(client, "whole", written(() => {}))).status, 200);
      const before = memory().numTensors;
      const cases: [name: string, body: Uint8Array<ArrayBuffer>, status: number, says: RegExp][] = [
        ["cut off", file.slice(0, -1), 400, /byte/],
        ["trailing", joined([file, new Uint8Array(4)]), 400, /byte/],
        ["no session", written(() => {}, {}), 422, /not the checkpoint of a session/],
        [
          "another configuration than hashed",
          written(() => {}, { document: words.document.replace('"ekfac"', '"kfac"') }),
          422,
          /not the one hashed/,
        ],
        ["NaN", written((all) => all.get("fc1.average.A")!.fill(NaN)), 422, /fc1/],
        [
          "missing",
          written((all) => {
            for (const name of all.keys()) if (name.startsWith("fc1.average.")) all.delete(name);
          }),
          422,
          /averages of layer "fc1" are missing/,
        ],
        ...broken(words.document).map(
          ([name, document, says]): typeof cases[number] => [
            name,
            written(() => {}, { document }),
            422,
            says,
          ],
        ),
        ["foreign", written((all) => all.set("fc9.average.A", new Float32Array(1))), 422, /fc9/],
      ];
      for (const [name, body, status, says] of cases) {
        const refused = await put(client, "other", body);
        equal(refused.status, status, `${name}: ${JSON.stringify(refused.body)}`);
        ok(says.test(refused.body.detail), `${name}: ${refused.body.detail}`);
      }
      equal((await client.send("GET", "/other")).status, 404);
      equal(memory().numTensors, before);
    }),
);

cpuTest(
  "a client that leaves in the middle of either way leaves nothing",
  (engine) =>
    withSession(engine, async (client, file) => {
      const before = memory().numTensors;
      const reader = (await client.request("/s/checkpoint")).body!.getReader();
      await reader.read();
      await reader.cancel();
      equal(memory().numTensors, before);
      const body = ReadableStream.from(function* () {
        yield file.subarray(0, file.length - 100);
        throw new Error("the client is gone");
      }());
      const { status } = await put(client, "gone", body);
      equal(status, 499);
      equal(memory().numTensors, before);
      await client.request("/s/checkpoint"); // and never read
      await client.host.expire(Date.now() + 11 * 60 * 1000);
      equal(memory().numTensors, before);
    }),
);

cpuTest(
  "a checkpoint under a key is restored once",
  (engine) =>
    withSession(engine, async (client, file) => {
      const key = { "idempotency-key": "restore" };
      const first = await put(client, "copy", file, key);
      const again = await put(client, "copy", file, key);
      equal(again.body.replayed, true);
      equal(again.body.revision, first.body.revision);
      const changed = file.slice();
      changed[changed.length - 1] ^= 1;
      equal((await put(client, "copy", changed, key)).status, 422);
    }),
);

cpuTest(
  "a checkpoint that can never fit is refused before its tensors are sent",
  (engine) =>
    withSessions(engine, async (client) => {
      const layers = { fc: { kind: "dense", bias: false, d_in: 40, d_out: 40 } };
      await client.expect("POST", "", { id: "s", layers, damping: 1 });
      const { metadata } = decodeSafetensors(await (await client.request("/s/checkpoint")).bytes());
      const shape = [1, 40, 400];
      const bytes = new Uint8Array(4 * 40 * 400);
      const tensors = new Map([["fc.average.A", { dtype: "F32" as const, shape, bytes }]]);
      const [header] = encodeSafetensors(Object.fromEntries(metadata), tensors);
      let sent = 0;
      const body = ReadableStream.from(function* () {
        yield header;
        for (; sent < bytes.length; sent += 4000) yield bytes.subarray(sent, sent + 4000);
      }());
      const { status, body: { limit } } = await put(client, "large", body);
      equal(status, 413);
      equal(limit, 30_000);
      ok(sent < bytes.length, "all of it was read");
    }, { budgetBytes: 30_000 }),
);

Deno.test("a file is read a tensor at a time", async () => {
  const each = { dtype: "F32" as const, shape: [256], bytes: new Uint8Array(1024) };
  const parts = encodeSafetensors({}, new Map(["a", "b", "c"].map((name) => [name, each])));
  let given = 0;
  const chunks = async function* () {
    for (const part of parts) {
      given++;
      yield await Promise.resolve(part);
    }
  }();
  const limits = { maxBytes: 10_000, maxHeaderBytes: 1000 };
  const { tensors } = await openSafetensors(chunks, limits);
  const seen: string[] = [];
  for await (const [name] of tensors()) seen.push(`${name} after ${given} parts`);
  deepEqual(seen, ["a after 2 parts", "b after 3 parts", "c after 4 parts"]);
});

/** Documents that are no session's, and what is said of each. */
function broken(document: string): [name: string, document: string, says: RegExp][] {
  // deno-lint-ignore no-explicit-any -- a document to be broken
  const changed = (change: (session: any) => void): string => {
    const parsed = JSON.parse(document);
    change(parsed.session);
    return JSON.stringify(parsed);
  };
  return [
    ["format alone", '{"session":{"format":1}}', /configuration_hash/],
    ["no identity", changed((session) => session.identity = null), /identity/],
    ["no state", changed((session) => delete session.state), /state/],
    ["no layers", changed((session) => delete session.state.layers), /layers/],
    ["revision", changed((session) => session.state.revision = "x"), /revision/],
    ["no settings", changed((session) => delete session.state.settings), /settings/],
    ["no refresh", changed((session) => delete session.state.settings.refresh), /refresh/],
    ["damping", changed((session) => session.state.damping = -1), /damping/],
    ["decay", changed((session) => session.state.settings.decay = 7), /decay/],
    ["batches", changed((session) => session.state.layers[0].batches = -1), /batches/],
    [
      "description",
      changed((session) => delete session.state.layers[0].description),
      /description/,
    ],
    ["a layer too few", changed((session) => session.state.layers.pop()), /each once/],
    [
      "other sizes",
      changed((session) => session.state.layers[0].description.d_in = 7),
      /fc1.*shape/,
    ],
  ];
}
