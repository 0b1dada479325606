/** The real tritonclient of PyPI against a real server. */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { startServer } from "../../src/training/server.ts";
import { PYTHON, pythonHas } from "../support/python.ts";

const SCRIPT = new URL("./python/tritonclient_calls.py", import.meta.url).pathname;

const hasClient = await pythonHas(["tritonclient.http"], "tritonclient against /v2");

Deno.test({
  name: "tritonclient sends tensors, parameters and deadlines, and reads answers and refusals",
  ignore: !hasClient,
  fn: async () => {
    const server = await startServer();
    const { code, stdout, stderr } = await new Deno.Command(PYTHON, {
      args: [SCRIPT, new URL(server.url).host],
      stdout: "piped",
      stderr: "piped",
    }).output();
    await server.stop();
    equal(code, 0, new TextDecoder().decode(stderr));
    deepEqual(new TextDecoder().decode(stdout).trim().split("\n"), [
      "health and metadata",
      "binary tensors both ways",
      "JSON tensors both ways",
      "FP16 in, parameters as one JSON document",
      "an update from a batch",
      "several requests at a time",
      "refusals are exceptions with status and message",
    ]);
  },
});
