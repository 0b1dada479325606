/** What the server's process may do: what its settings need, and nothing beside. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { readConfig } from "../src/config.ts";
import { permissionFlags } from "../src/permissions.ts";

const ROOT = new URL("../", import.meta.url);
const flagsOf = (env: Record<string, string> = {}) =>
  permissionFlags(readConfig((name) => env[name]));

Deno.test("the flags follow the settings", () => {
  deepEqual(flagsOf(), [
    "--allow-env=CURVD_*,XDG_RUNTIME_DIR,npm_command",
    "--allow-net=127.0.0.1:5322",
    "--allow-read=src,dist/page,./data",
    "--allow-write=./data",
    "--allow-ffi",
  ]);
  deepEqual(
    flagsOf({
      CURVD_HOST: "::1",
      CURVD_PORT: "80",
      CURVD_DATA: "/var/lib/curvd",
      CURVD_KEYS: "/etc/curvd/keys",
    }).slice(1, 4),
    [
      "--allow-net=[::1]:80",
      "--allow-read=src,dist/page,/var/lib/curvd,/etc/curvd/keys",
      "--allow-write=/var/lib/curvd",
    ],
  );
  deepEqual(flagsOf({ CURVD_DATA: ":memory:", CURVD_BLAS: "off" }).slice(1), [
    "--allow-net=127.0.0.1:5322",
    "--allow-read=src,dist/page",
  ]);
});

Deno.test("with its flags a process can read, write, reach and start nothing else", async () => {
  const data = await Deno.makeTempDir();
  const probe = `
    const asked = [
      { name: "read", path: "/etc/passwd" }, { name: "read", path: "." }, { name: "read" },
      { name: "write", path: "src" }, { name: "write", path: "/tmp/elsewhere" }, { name: "write" },
      { name: "net", host: "127.0.0.1:80" }, { name: "net", host: "example.org" }, { name: "net" },
      { name: "run", command: "sh" }, { name: "run" }, { name: "sys" },
      { name: "env", variable: "HOME" }, { name: "env" }, { name: "import" }, { name: "ffi" },
      { name: "read", path: ${JSON.stringify(data)} }, { name: "write", path: ${
    JSON.stringify(data)
  } },
      { name: "net", host: "127.0.0.1:5322" },
    ];
    console.log(asked.map((each) => Deno.permissions.querySync(each).state).join());
  `;
  const file = `${data}/probe.ts`;
  await Deno.writeTextFile(file, probe);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-config",
      ...flagsOf({ CURVD_DATA: data, CURVD_BLAS: "off" }),
      file,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const states = new TextDecoder().decode(stdout).trim().split(",");
  equal(states.length, 19);
  deepEqual(new Set(states.slice(0, 16)), new Set(["prompt"])); // which --no-prompt refuses
  deepEqual(states.slice(16), ["granted", "granted", "granted"]);
  await Deno.remove(data, { recursive: true });
});

Deno.test("no Worker has the rights of the thread that starts it: two have FFI, one the store, one none", () => {
  const files = [
    "compute/client.ts",
    "linalg/crew/helper.ts",
    "sessions/store_process.ts",
    "wire/codec.ts",
  ];
  const rights = files.map((file) => {
    const source = Deno.readTextFileSync(new URL(`src/${file}`, ROOT));
    equal(source.match(/new Worker\(/g)?.length, 1, file);
    return /new Worker\([^;]*deno: \{ permissions: (.*) \},?.*\n/.exec(source)?.[1];
  });
  deepEqual(rights, [
    '{ ffi: "inherit", read: [new URL("../", import.meta.url)] }',
    'blas === null ? "none" : { ffi: "inherit" }',
    'isMemory ? "none" : { read: [folder], write: [folder] }',
    '"none"',
  ]);
});

/** A command of the shell, begun. */
function shell(line: string, env: Record<string, string>): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", `exec ${line}`],
    cwd: ROOT,
    env: {
      NO_COLOR: "1",
      XDG_RUNTIME_DIR: "/tmp",
      CURVD_PORT: "0",
      CURVD_ENGINE: "cpu",
      CURVD_BLAS: "off",
      ...env,
    },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("without a permission that it needs it does not start, and says how it would", async () => {
  const folder = await Deno.makeTempDir();
  const data = `${folder}/with a blank`; // which a task cannot hand on
  const refused = await shell("deno task --quiet serve", { CURVD_DATA: data }).output();
  equal(refused.code, 1);
  const errors = new TextDecoder().decode(refused.stderr);
  match(errors, /these permissions are missing: .*"write .*with a blank"/);
  ok(!/NotCapable|Stack|at file/.test(errors), errors);

  const [, command] = /^ +(deno run .*main\.ts)$/m.exec(errors) ?? [];
  const server = shell(command, { CURVD_DATA: data });
  let printed = "";
  for await (const text of server.stdout.pipeThrough(new TextDecoderStream())) {
    printed += text;
    if (/listens on/.test(printed)) break;
  }
  match(printed, /listens on http/);
  server.kill("SIGTERM");
  equal((await server.status).code, 0);
  await server.stderr.cancel();
  ok([...Deno.readDirSync(data)].length > 0, "the sessions are kept there");
  await Deno.remove(folder, { recursive: true });
});
