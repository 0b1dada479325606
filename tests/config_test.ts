import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { asksForHelp, ConfigError, helpText, readConfig } from "../src/config.ts";

const read = (environment: Record<string, string> = {}) => readConfig((name) => environment[name]);

Deno.test("without settings curvd listens on 127.0.0.1:5322 and chooses its engine", () => {
  deepEqual(read(), {
    host: "127.0.0.1",
    port: 5322,
    keys: null,
    origins: [],
    names: [],
    engine: "auto",
    blas: "auto",
    maxBodyBytes: 256 * 2 ** 20,
    maxCheckpointBytes: 2048 * 2 ** 20,
    data: "./data",
    memoryBytes: 4096 * 2 ** 20,
    graceMs: 30_000,
    queue: { requests: 256, bytes: 2048 * 2 ** 20 },
    log: { format: "auto", level: "info" },
    isUnderNpx: false,
  });
  ok(Object.isFrozen(read()));
});

Deno.test("settings are read, and an empty one counts as absent", () => {
  const config = read({
    CURVD_PORT: "0",
    CURVD_HOST: "",
    CURVD_ENGINE: "cpu",
    CURVD_BLAS: "/usr/lib/libblas.so",
    CURVD_MAX_BODY_MB: "1",
    CURVD_MAX_CHECKPOINT_MB: "3",
    CURVD_DATA: "/var/lib/curvd",
    CURVD_MEMORY_MB: "5",
    CURVD_KEYS: "/etc/curvd/keys",
    CURVD_ORIGINS: "https://lab.example, http://localhost:8080",
    CURVD_NAMES: "curvd,Lab.Example",
    CURVD_LOG: "json",
    CURVD_LOG_LEVEL: "debug",
    npm_command: "exec",
  });
  deepEqual(config, {
    host: "127.0.0.1",
    port: 0,
    keys: "/etc/curvd/keys",
    origins: ["https://lab.example", "http://localhost:8080"],
    names: ["curvd", "lab.example"],
    engine: "cpu",
    blas: "/usr/lib/libblas.so",
    maxBodyBytes: 2 ** 20,
    maxCheckpointBytes: 3 * 2 ** 20,
    data: "/var/lib/curvd",
    memoryBytes: 5 * 2 ** 20,
    graceMs: 30_000,
    queue: { requests: 256, bytes: 2048 * 2 ** 20 },
    log: { format: "json", level: "debug" },
    isUnderNpx: true,
  });
});

Deno.test("a wrong value is refused, naming the setting and what it may be", () => {
  const wrong: [name: string, value: string][] = [
    ["CURVD_PORT", "http"],
    ["CURVD_PORT", "65536"],
    ["CURVD_PORT", "-1"],
    ["CURVD_PORT", "1e3"],
    ["CURVD_ENGINE", "cuda"],
    ["CURVD_MAX_BODY_MB", "0"],
    ["CURVD_MAX_BODY_MB", "1.5"],
    ["CURVD_OPEN", "yes"],
    ["CURVD_LOG", "yaml"],
    ["CURVD_LOG_LEVEL", "loud"],
    ["CURVD_DATA", "/data,/etc"],
    ["CURVD_KEYS", "a,b"],
    ["CURVD_ORIGINS", "*"],
    ["CURVD_ORIGINS", "lab.example"],
    ["CURVD_ORIGINS", "https://lab.example/"],
    ["CURVD_ORIGINS", "https://lab.example/path"],
    ["CURVD_NAMES", "https://lab.example"],
    ["CURVD_NAMES", "lab.example:80"],
  ];
  for (const [name, value] of wrong) {
    throws(() => read({ [name]: value }), (error: Error) => {
      ok(error instanceof ConfigError);
      match(error.message, new RegExp(`^${name} must be .*"${value}"`));
      return true;
    });
  }
});

Deno.test("a list names the item that is wrong", () => {
  throws(() => read({ CURVD_NAMES: "curvd, a b" }), /CURVD_NAMES must be .*"a b"/);
});

Deno.test("a host that others can reach needs keys, or CURVD_OPEN=1", () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org"]) {
    throws(() => read({ CURVD_HOST: host }), /CURVD_OPEN=1/);
    equal(read({ CURVD_HOST: host, CURVD_OPEN: "1" }).host, host);
    equal(read({ CURVD_HOST: host, CURVD_KEYS: "keys" }).host, host);
  }
  for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "::1"]) {
    equal(read({ CURVD_HOST: host }).host, host);
  }
  equal(read({ CURVD_HOST: "[::1]" }).host, "::1");
});

Deno.test("the command line takes --help and nothing else", () => {
  equal(asksForHelp([]), false);
  equal(asksForHelp(["--help"]), true);
  equal(asksForHelp(["-h"]), true);
  throws(() => asksForHelp(["--port=80"]), /"--port=80" is not taken.*--help/);
  throws(() => asksForHelp(["--help", "serve"]), /"serve" is not taken/);
});

Deno.test("--help names every setting that readConfig() looks up", () => {
  const asked = new Set<string>();
  readConfig((name) => {
    asked.add(name);
    return name === "CURVD_HOST" ? "0.0.0.0" : name === "CURVD_OPEN" ? "1" : undefined;
  });
  for (const name of asked) if (name.startsWith("CURVD_")) ok(helpText().includes(name), name);
});
