/** The server as a process: how it starts, and how it stops. */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import {
  CALL_SCHEMAS,
  decodeDocument,
  DeviceAnswer,
  MEDIA_TYPES,
  MethodsAnswer,
  validate,
} from "../src/wire/mod.ts";

const ROOT = new URL("../", import.meta.url);
const DENO = Deno.execPath();

interface Server {
  readonly url: string;
  readonly child: Deno.ChildProcess;
  /** In the environment of every process that descends from this start. */
  readonly mark: string;
  /** All of its standard output, once it has ended. */
  readonly log: Promise<string>;
}

function command(program: string, args: string[], env: Record<string, string>): Deno.Command {
  return new Deno.Command(program, {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1", XDG_RUNTIME_DIR: "/tmp", CURVD_DATA: Deno.makeTempDirSync(), ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Starts a server on a free port and waits until it says where it listens. */
async function start(program = DENO, args = ["task", "serve"]): Promise<Server> {
  const mark = crypto.randomUUID();
  const env = { CURVD_PORT: "0", CURVD_ENGINE: "cpu", CURVD_TEST_MARK: mark };
  const child = command(program, args, env).spawn();
  const errors = new Response(child.stderr).text();
  const [forUrl, forLog] = child.stdout.tee();
  const log = new Response(forLog).text();

  let printed = "";
  for await (const text of forUrl.pipeThrough(new TextDecoderStream())) {
    printed += text;
    const [, url] = /listens on (http:\S+), engine cpu: \S/.exec(printed) ?? [];
    if (url !== undefined) return { url, child, mark, log };
  }
  throw new Error(`The server did not start: ${printed}${await errors}`);
}

/** Pids whose environment has the mark. */
function processesMarked(mark: string): string[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => name).filter((name) => {
    try {
      return /^\d+$/.test(name) && Deno.readTextFileSync(`/proc/${name}/environ`).includes(mark);
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

function refusesConnections(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return Deno.connect({ hostname, port: Number(port) }).then((connection) => {
    connection.close();
    return false;
  }, () => true);
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Not within 10 seconds: ${what}`);
}

/**
 * A POST whose body is sent in two halves, the first once the server asks for it: by then the request is in flight, and not in
 * the backlog of a listener, whose end resets it. `finish()` sends the second half and reads the answer.
 */
async function halfARequest(url: string) {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const send = (text: string) => connection.write(new TextEncoder().encode(text));
  const asked = new Uint8Array(64);
  const body = JSON.stringify({ layers: { fc1: { A: [[2, 0], [0, 4]] } } });
  await send(
    "POST /v1/inverses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
      `Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
  );
  const length = await connection.read(asked);
  equal(new TextDecoder().decode(asked.subarray(0, length ?? 0)), "HTTP/1.1 100 Continue\r\n\r\n");
  await send(body.slice(0, 10));
  return {
    async finish(): Promise<string> {
      await send(body.slice(10));
      return await new Response(connection.readable).text();
    },
  };
}

Deno.test("SIGTERM lets a request in flight finish, then exits 0 and leaves no process", async () => {
  const server = await start();
  const request = await halfARequest(server.url);
  server.child.kill("SIGTERM");
  await eventually("no new connection is taken", () => refusesConnections(server.url));
  const answer = await request.finish();
  match(answer, /^HTTP\/1\.1 200 /);
  const { layers } = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")));
  const [[a, b], [c, d]] = layers.fc1.A_inv;
  ok(Math.hypot(a - 0.5, b, c, d - 0.25) < 1e-6, "the answer is the inverse");
  equal((await server.child.status).code, 0);
  match(await server.log, /stops \(SIGTERM\)/);
  equal(processesMarked(server.mark).length, 0);
});

Deno.test("every example of the served reference works, and its answer keeps its schema", async () => {
  const server = await start();
  const { paths } = await (await fetch(`${server.url}/openapi.json`)).json();
  const calls = Object.keys(CALL_SCHEMAS) as (keyof typeof CALL_SCHEMAS)[];
  const offered = calls.filter((call) => `/v1/${call}` in paths);
  ok(offered.length >= 4);
  for (const call of offered) {
    const { example } = paths[`/v1/${call}`].post.requestBody.content["application/json"];
    for (const encoding of ["json", "safetensors"] as const) {
      const response = await fetch(`${server.url}/v1/${call}`, {
        method: "POST",
        body: JSON.stringify(example),
        headers: { "content-type": "application/json", accept: MEDIA_TYPES[encoding] },
      });
      const body = await response.bytes();
      equal(response.status, 200, `${call}: ${new TextDecoder().decode(body)}`);
      equal(response.headers.get("content-type"), MEDIA_TYPES[encoding]);
      validate(CALL_SCHEMAS[call].answer, decodeDocument(body, encoding));
    }
  }
  const methods = await (await fetch(`${server.url}/v1/methods`)).json();
  ok(validate(MethodsAnswer, methods).methods.some(({ method }) => method === "kfac"));
  validate(DeviceAnswer, await (await fetch(`${server.url}/v1/device`)).json());
  server.child.kill("SIGTERM");
  equal((await server.child.status).code, 0);
});

Deno.test("Ctrl-C, which deno task passes on once more, exits 0", async () => {
  const server = await start();
  const live = await fetch(`${server.url}/health/live`);
  equal(await live.text(), '{"status":"live"}');
  for (const pid of processesMarked(server.mark)) Deno.kill(Number(pid), "SIGINT");
  equal((await server.child.status).code, 0);
  match(await server.log, /stops \(SIGINT\)/);
});

Deno.test("SIGTERM to npx ends the server too, and leaves no process", async () => {
  const server = await start("npx", ["-y", "deno@2.9.6", "task", "serve"]);
  ok(processesMarked(server.mark).length >= 3, "npx, deno task and the server are up");
  server.child.kill("SIGTERM");
  await server.child.status;
  await eventually("every process has ended", () => processesMarked(server.mark).length === 0);
  match(await server.log, /curvd stops/);
});

Deno.test("a wrong setting stops the start, naming it", async () => {
  const { code, stderr } = await command(DENO, ["task", "serve"], { CURVD_PORT: "http" }).output();
  equal(code, 1);
  match(new TextDecoder().decode(stderr), /cannot start: CURVD_PORT must be .*"http"/);
});

Deno.test("a port that is taken stops the start, naming it", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const env = { CURVD_PORT: String(port), CURVD_ENGINE: "cpu" };
  const { code, stderr } = await command(DENO, ["task", "serve"], env).output();
  taken.close();
  equal(code, 1);
  match(new TextDecoder().decode(stderr), new RegExp(`cannot start: .*${port}`));
});

Deno.test("--help prints the settings and starts nothing", async () => {
  const { code, stdout } = await command(DENO, ["task", "serve", "--help"], {}).output();
  equal(code, 0);
  match(new TextDecoder().decode(stdout), /CURVD_PORT +port to listen on.*\(5322\)/);
});
