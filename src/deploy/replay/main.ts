/**
 * Replays the Dockerfile without a container engine, and runs what it makes:
 *
 *   deno task replay [--work=folder]     as root
 *
 * 1. every stage's steps, in Debian trees made by debootstrap;
 * 2. the service in the last tree, as image and compose file say: user, environment, read-only root,
 *    no capability, no network but its loopback;
 * 3. health, the image's HEALTHCHECK, one call whose answer is checked, a session in the volume;
 * 4. SIGTERM in the middle of a request, which is finished; exit code 0.
 *
 * Needs Debian with debootstrap and root. A second replay finds its base system in the work folder.
 *
 * @module
 */
import { parse } from "yaml";
import { buildImage } from "./build.ts";
import { run } from "./command.ts";
import { type Container, type Service, startContainer } from "./container.ts";
import { imageConfig, parseDockerfile } from "./dockerfile.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const work = Deno.args.find((word) => word.startsWith("--work="))?.slice("--work=".length) ??
  "/var/tmp/curvd-image";

const stages = parseDockerfile(await Deno.readTextFile(`${ROOT}/Dockerfile`));
const config = imageConfig(stages);
const compose = parse(await Deno.readTextFile(`${ROOT}/src/deploy/compose.yaml`));
const service: Service = compose.services.curvd;

await run("mkdir", ["-p", work]);
const started = performance.now();
const tree = await buildImage(stages, ROOT, work);
const seconds = ((performance.now() - started) / 1000).toFixed(0);
const size = await run("du", ["-shl", ...parts(tree)], { capture: true });
console.log(`built in ${seconds} s\n${size.replaceAll(tree, "")}`);

const volume = await Deno.makeTempDir({ dir: work, prefix: "volume-" });
const container = await startContainer(tree, config, service, volume);
try {
  await examine(container);
} catch (error) {
  console.log(container.log());
  throw error;
} finally {
  try {
    container.signal("SIGKILL");
  } catch { /* it has ended, as it should have */ }
  await Deno.remove(volume, { recursive: true });
}
Deno.exit(0);

/** The folders whose sizes are told, none within another. */
function parts(tree: string): string[] {
  return ["/app", "/deno-dir", "/usr/local", "/usr/lib"].map((part) => tree + part);
}

/** @throws Error where the service does not do what is promised of it. */
async function examine({ pid, log, ended, signal, checkHealth }: Container): Promise<void> {
  const [port] = config.ports;
  const probe = new Deno.Command("nsenter", {
    args: [
      ...["--target", `${pid}`, "--net", "--", Deno.execPath(), "run", "--no-config"],
      ...["--allow-net=127.0.0.1", new URL("./probe.ts", import.meta.url).pathname, port],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = linesOf(probe.stdout);
  await expect(lines, /^ready$/);
  console.log("GET /health/ready: 200");
  console.log(await expect(lines, /^engine /));
  await expect(lines, /^call$/);
  console.log("POST /v1/inverses: right; POST /v1/sessions: 201");
  console.log(`processes: ${await describe(pid)}`);
  hold(await checkHealth(), 0, "HEALTHCHECK");
  await refusesToWrite(pid);
  await expect(lines, /^half$/);

  signal(config.stopSignal as Deno.Signal);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const writer = probe.stdin.getWriter();
  await writer.write(new TextEncoder().encode("\n"));
  await writer.close();
  await expect(lines, /^whole$/);
  console.log(`${config.stopSignal} in mid-request: the request is answered, and right`);
  hold(await ended, 0, "exit code");
  const kept = [...Deno.readDirSync(volume)].map(({ name }) => name);
  if (kept.length === 0) throw new Error("The volume is empty");
  console.log(`volume: ${kept.join(", ")}\nlog:\n${log().trimEnd()}`);
}

/** Process 1 as the kernel has it. @throws Error where it has a right too many. */
async function describe(pid: number): Promise<string> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  hold(field("Uid").split("\t")[0], config.user.split(":")[0], "user id");
  for (const set of ["CapEff", "CapPrm", "CapBnd"]) hold(Number(`0x${field(set)}`), 0, set);
  hold(field("NoNewPrivs"), "1", "no new privileges");
  return `uid ${field("Uid").split("\t")[0]}, no capability, no new privileges`;
}

/** @throws Error where the root file system is not mounted read-only. */
async function refusesToWrite(pid: number): Promise<void> {
  const mounts = (await Deno.readTextFile(`/proc/${pid}/mountinfo`)).split("\n");
  const root = mounts.map((line) => line.split(" ")).find((fields) => fields[4] === "/");
  const options = root?.[5].split(",")[0];
  hold(options, "ro", "root file system");
}

function hold(found: unknown, expected: unknown, what: string): void {
  if (found !== expected) throw new Error(`${what}: ${found}, not ${expected}`);
  console.log(`${what}: ${found}`);
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** The next line. @throws Error where it is another than expected. */
async function expect(lines: AsyncGenerator<string>, pattern: RegExp): Promise<string> {
  const { value, done } = await lines.next();
  if (done || !pattern.test(value)) throw new Error(`The probe said "${value}", not ${pattern}`);
  return value;
}
