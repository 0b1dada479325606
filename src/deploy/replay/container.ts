/**
 * A built tree run as its image and compose file say: the image's user, environment and entrypoint as
 * process 1, a read-only root, no capability, no other network than its own loopback.
 *
 * @module
 */
import type { ImageConfig } from "./dockerfile.ts";

/** The part of a compose file's service that the replay heeds. */
export interface Service {
  readonly environment?: Readonly<Record<string, string>>;
  readonly read_only?: boolean;
  readonly tmpfs?: readonly string[];
}

export interface Container {
  /** Of process 1, as this machine counts. */
  readonly pid: number;
  /** What it has printed so far. */
  readonly log: () => string;
  /** Exit code of process 1. */
  readonly ended: Promise<number>;
  /** Runs the image's HEALTHCHECK inside. @returns its exit code. */
  checkHealth(): Promise<number>;
  signal(signal: Deno.Signal): void;
}

const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"];

/** @param volume folder of this machine that becomes the image's only volume. */
export async function startContainer(
  tree: string,
  config: ImageConfig,
  service: Service,
  volume: string,
): Promise<Container> {
  const [uid, gid] = config.user.split(":");
  const env = { ...config.env, ...service.environment };
  const inside = (command: readonly string[]) => [
    ...["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--no-new-privs"],
    ...["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"],
    ...["/usr/bin/env", "-i", `--chdir=${config.workdir}`],
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...command,
  ];
  const [volumeAt] = config.volumes;
  await new Deno.Command("chown", { args: [`${uid}:${gid}`, volume] }).output();
  const script = [
    "ip link set lo up",
    'mount --bind "$0" "$0"',
    'mount -t proc proc "$0/proc"',
    'mount -t sysfs -o ro sysfs "$0/sys"',
    'mount -t tmpfs -o mode=755 dev "$0/dev"',
    ...DEVICES.map((name) => `: > "$0/dev/${name}" && mount --bind /dev/${name} "$0/dev/${name}"`),
    'mkdir "$0/dev/shm" && mount -t tmpfs -o mode=1777 shm "$0/dev/shm"',
    ...(service.tmpfs ?? []).map((path) => `mount -t tmpfs -o mode=1777 tmpfs "$0${path}"`),
    `mount --bind "$1" "$0${volumeAt}"`,
    ...(service.read_only ? ['mount -o remount,bind,ro "$0"'] : []),
    "shift",
    'exec chroot "$0" "$@"',
  ].join("\n");
  const namespaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"];
  const child = new Deno.Command("unshare", {
    args: [...namespaces, "sh", "-ec", script, tree, volume, ...inside(config.entrypoint)],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let printed = "";
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) printed += text;
  };
  read(child.stdout);
  read(child.stderr);
  const pid = await firstChildOf(child.pid);
  return {
    pid,
    log: () => printed,
    ended: child.status.then(({ code }) => code),
    signal: (signal) => Deno.kill(pid, signal),
    async checkHealth() {
      const enter = ["--target", `${pid}`, "--mount", "--pid", "--net", "--ipc", "--uts", "--root"];
      const args = [...enter, "--", ...inside(config.healthcheck)];
      return (await new Deno.Command("nsenter", { args }).output()).code;
    },
  };
}

/** The process that `unshare --fork` has made. */
async function firstChildOf(pid: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
    const [first] = children.trim().split(" ");
    if (first) return Number(first);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("The container has no process");
}
