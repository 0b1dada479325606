/**
 * A Dockerfile's stages as trees of files, built with debootstrap and chroot where there is no
 * container engine. Needs root on Debian.
 *
 * A build sees this machine's network as an engine's build would: its name resolution, and the
 * certificates and registry settings of its environment.
 *
 * @module
 */
import ignore from "@balena/dockerignore";
import { imageConfig, PATH, type Stage, type Step } from "./dockerfile.ts";
import { run } from "./command.ts";

/** Environment variables that name certificates or registries here, and so for a build here. */
const NETWORK_SETTINGS =
  /^(SSL_CERT_FILE|NODE_EXTRA_CA_CERTS|DENO_CERT|PIP_CERT|PIP_INDEX_URL|https?_proxy|npm_config_registry)$/i;
/** Where a build finds a file that such a variable names: in none of the image's own places. */
const LENT = "/run/lent";

/**
 * Builds every stage that the last one needs.
 *
 * @param context folder of the Dockerfile.
 * @param work folder for the trees; a base system found in it is taken as it is.
 * @returns the last stage's tree.
 */
export async function buildImage(
  stages: readonly Stage[],
  context: string,
  work: string,
): Promise<string> {
  const trees = new Map<string, string>();
  for (const [index, stage] of stages.entries()) {
    const tree = `${work}/stage-${stage.name}`;
    const base = trees.get(stage.base) ?? await baseSystem(stage.base, work);
    await run("rm", ["-rf", tree]);
    await run("cp", ["-a", "--reflink=auto", base, tree]);
    trees.set(stage.name, tree);
    const before = imageConfig([...stages.slice(0, index), { ...stage, steps: [] }]);
    let place: Place = { tree, workdir: before.workdir, env: before.env };
    for (const step of stage.steps) place = await apply(step, place, { context, trees });
  }
  return trees.get(stages[stages.length - 1].name)!;
}

/** Where a step happens. */
interface Place {
  readonly tree: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
}

interface Sources {
  readonly context: string;
  readonly trees: ReadonlyMap<string, string>;
}

async function apply(step: Step, place: Place, sources: Sources): Promise<Place> {
  const { tree, env } = place;
  switch (step.kind) {
    case "env":
      return { ...place, env: { ...env, ...step.variables } };
    case "workdir":
      await run("mkdir", ["-p", tree + step.path]);
      return { ...place, workdir: step.path };
    case "copy":
      console.log(`${step.from ?? "context"}: COPY ${step.sources.join(" ")} ${step.target}`);
      await copy(step, place, sources);
      return place;
    case "run":
      console.log(`RUN ${step.command.at(-1)}`);
      await runIn(place, step.command);
      return place;
  }
}

/** A minimal Debian of the release that the image's tag names, as `debian:<release>-slim` is one. */
async function baseSystem(image: string, work: string): Promise<string> {
  const [, release] = /^debian:([a-z]+)-slim$/.exec(image) ?? [];
  if (release === undefined) {
    throw new Error(`Only debian:<release>-slim is replayed, not ${image}`);
  }
  const tree = `${work}/debian-${release}`;
  const isMade = await Deno.stat(`${tree}/etc/debian_version`).then(() => true, () => false);
  if (!isMade) {
    await run("rm", ["-rf", tree]);
    await run("debootstrap", ["--variant=minbase", release, `${tree}.part`, await debianMirror()]);
    await Deno.rename(`${tree}.part`, tree);
  }
  return tree;
}

/** Where this machine's own apt gets Debian's packages from. */
async function debianMirror(): Promise<string> {
  const format = "$(ORIGIN) $(COMPONENT) $(REPO_URI)";
  const targets = await run("apt-get", ["indextargets", "--format", format], { capture: true });
  const [, mirror] = /^Debian main (\S+)$/m.exec(targets) ?? [];
  if (mirror === undefined) throw new Error("apt names no mirror of Debian; run apt-get update");
  return mirror;
}

/** Runs a command of the image in its tree, in namespaces of its own, with this machine's network. */
async function runIn({ tree, workdir, env }: Place, command: readonly string[]): Promise<void> {
  const mounts = [
    'mount -t proc proc "$0/proc"',
    'mount --rbind /dev "$0/dev"',
    `mkdir -p "$0${LENT}" && mount -t tmpfs lent "$0${LENT}"`,
    'mount --bind -o ro /etc/resolv.conf "$0/etc/resolv.conf"',
  ];
  const network: Record<string, string> = {};
  for (const [name, value] of Object.entries(Deno.env.toObject())) {
    if (!NETWORK_SETTINGS.test(name)) continue;
    network[name] = value.startsWith("/") ? `${LENT}/${name}` : value;
    if (value.startsWith("/")) mounts.push(`cp -L "${value}" "$0${LENT}/${name}"`);
  }
  const variables = { PATH, HOME: "/root", DEBIAN_FRONTEND: "noninteractive", ...network, ...env };
  const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const inside = ["chroot", tree, "/usr/bin/env", "-i", `--chdir=${workdir}`, ...words, ...command];
  const script = `${mounts.join(" && ")} && exec "$@"`;
  await run("unshare", ["--mount", "--pid", "--fork", "sh", "-ec", script, tree, ...inside]);
}

/** `COPY`, from the context less what .dockerignore leaves out, or from another stage. */
async function copy(
  { from, sources, target }: Extract<Step, { kind: "copy" }>,
  { tree, workdir }: Place,
  { context, trees }: Sources,
): Promise<void> {
  const root = from === undefined
    ? await filteredContext(context, `${tree}.context`)
    : trees.get(from);
  if (root === undefined) throw new Error(`There is no stage "${from}"`);
  const absolute = target.startsWith("/") ? target : `${workdir}/${target}`;
  const isFolder = target.endsWith("/") || sources.length > 1;
  for (const source of sources) {
    const path = `${root}/${source}`;
    const { isDirectory } = await Deno.stat(path);
    const to = tree + absolute;
    await run("mkdir", ["-p", isDirectory || isFolder ? to : to.slice(0, to.lastIndexOf("/"))]);
    await run("cp", ["-a", "--reflink=auto", isDirectory ? `${path}/.` : path, to]);
  }
  if (from === undefined) await run("rm", ["-rf", root]);
}

/** A copy of what .dockerignore lets into the build, owned by root as an engine makes it. */
async function filteredContext(context: string, to: string): Promise<string> {
  // the types know only the ES form of this CommonJS module
  const rules = ignore.default().add(await Deno.readTextFile(`${context}/.dockerignore`));
  const find = [".", "-name", ".git", "-prune", "-o", "-not", "-type", "d", "-printf", "%P\\0"];
  const listed = await run("find", find, { capture: true, cwd: context });
  const kept = rules.filter(listed.split("\0").filter((path) => path !== ""));
  await run("rm", ["-rf", to]);
  await run("mkdir", ["-p", to]);
  const input = kept.join("\0");
  await run("xargs", ["-0", "cp", "-a", "--parents", "-t", to], { cwd: context, input });
  await run("chown", ["-R", "0:0", to]);
  return to;
}
