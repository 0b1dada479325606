/**
 * Schemathesis of PyPI against a real server: requests made up from the served reference, right ones
 * and wrong ones, singly and in sequences over a session.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { bugsIn, startServerProcess } from "../../bench/reliability/server_process.ts";
import { PYTHON, pythonHas } from "../support/python.ts";

const SCRIPTS = new URL("./python", import.meta.url).pathname;
const SECONDS = 100;
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "negative_data_rejection",
  "missing_required_header",
  "unsupported_method",
  "allow_header_conformance",
  "use_after_free",
];

const hasSchemathesis = await pythonHas(
  ["schemathesis", "safetensors", "numpy"],
  "the reference by schemathesis",
);

Deno.test({
  name: "every answer to made-up requests is in the served reference, and none is a 5xx",
  ignore: !hasSchemathesis,
  fn: async () => {
    const server = await startServerProcess({ CURVD_DATA: ":memory:" });
    const folder = await Deno.makeTempDir();
    const { code, stdout } = await new Deno.Command(PYTHON, {
      args: [
        ...["-m", "schemathesis.cli", `--config-file=${SCRIPTS}/schemathesis.toml`],
        ...["run", `${server.url}/openapi.json`, "--no-color"],
        ...["--checks", CHECKS.join(), "--max-time", `${SECONDS}`, "--seed", "20261121"],
        ...["--exclude-path-regex", "/events$"], // an answer that does not end
        ...["--continue-on-failure", "--no-shrink", "--suppress-health-check", "all"],
        ...["--request-timeout", "30", "--generation-database", "none", "--warnings", "off"],
      ],
      cwd: folder,
      env: {
        SCHEMATHESIS_HOOKS: "schemathesis_hooks",
        PYTHONPATH: SCRIPTS,
      },
    }).output();
    const printed = new TextDecoder().decode(stdout);
    await Deno.remove(folder, { recursive: true });
    ok(!server.hasEnded(), "the server is still up");
    const { code: serverCode, printed: log } = await server.stop();
    equal(code, 0, printed.slice(printed.indexOf("= FAILURES")));
    equal(serverCode, 0);
    deepEqual(bugsIn(log), []);
    const [, operations] = /Tested: (\d+)/.exec(printed) ?? [];
    const [, cases] = /(\d+) generated/.exec(printed) ?? [];
    ok(Number(operations) >= 30, printed);
    ok(Number(cases) >= 500, `only ${cases} requests were made up`);
  },
});
