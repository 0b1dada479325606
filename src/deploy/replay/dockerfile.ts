/**
 * A Dockerfile as stages of steps, and what the last stage says of the container.
 *
 * Only the instructions that curvd's own Dockerfile uses are read; another is an error, not a guess.
 *
 * Source: Dockerfile reference, docs.docker.com/reference/dockerfile.
 *
 * @module
 */
import {
  type Copy,
  DockerfileParser,
  type Env,
  type From,
  type Instruction,
  type JSONInstruction,
} from "dockerfile-ast";

/** What changes a stage's tree. */
export type Step =
  | { readonly kind: "run"; readonly command: readonly string[] }
  | {
    readonly kind: "copy";
    /** Another stage; absent for the build's context. */
    readonly from?: string;
    readonly sources: readonly string[];
    readonly target: string;
  }
  | { readonly kind: "workdir"; readonly path: string }
  | { readonly kind: "env"; readonly variables: Readonly<Record<string, string>> };

/** What is kept for the container. */
export interface ImageConfig {
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  /** `uid:gid`. */
  readonly user: string;
  readonly volumes: readonly string[];
  readonly ports: readonly string[];
  readonly entrypoint: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string;
}

export interface Stage {
  readonly name: string;
  /** An image, or the name of a stage before. */
  readonly base: string;
  readonly steps: readonly Step[];
  readonly config: Partial<ImageConfig>;
}

/** @throws Error naming the line of what is not understood. */
export function parseDockerfile(text: string): Stage[] {
  const stages: { name: string; base: string; steps: Step[]; config: Partial<ImageConfig> }[] = [];
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    const keyword = instruction.getKeyword();
    if (keyword === "FROM") {
      const from = instruction as From;
      const base = from.getImage() ?? "";
      stages.push({
        name: from.getBuildStage() ?? `${stages.length}`,
        base,
        steps: [],
        config: {},
      });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw notUnderstood(instruction);
    const step = stepOf(instruction);
    if (step !== undefined) stage.steps.push(step);
    else stage.config = { ...stage.config, ...configOf(instruction) };
  }
  return stages;
}

/** The last stage's configuration, with what its bases and its own steps set. */
export function imageConfig(stages: readonly Stage[]): ImageConfig {
  const last = stages.at(-1);
  if (last === undefined) throw new Error("The Dockerfile has no stage");
  const lineage = lineageOf(last, stages);
  const config = Object.assign({}, ...lineage.map((stage) => stage.config)) as Partial<ImageConfig>;
  let env: Record<string, string> = { PATH };
  let workdir = "/";
  for (const step of lineage.flatMap(({ steps }) => steps)) {
    if (step.kind === "env") env = { ...env, ...step.variables };
    if (step.kind === "workdir") workdir = step.path;
  }
  const { user = "0:0", volumes = [], ports = [], entrypoint = [], healthcheck = [] } = config;
  const { stopSignal = "SIGTERM" } = config;
  return { env, workdir, user, volumes, ports, entrypoint, healthcheck, stopSignal };
}

/** The stages that one is made from, itself last. */
export function lineageOf(stage: Stage, stages: readonly Stage[]): Stage[] {
  const base = stages.find(({ name }) => name === stage.base);
  return base === undefined ? [stage] : [...lineageOf(base, stages), stage];
}

/** What an image without a PATH of its own has. */
export const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function stepOf(instruction: Instruction): Step | undefined {
  switch (instruction.getKeyword()) {
    case "RUN":
      return { kind: "run", command: commandOf(instruction as JSONInstruction) };
    case "COPY": {
      const copy = instruction as Copy;
      const [from, ...other] = copy.getFlags();
      if (other.length > 0 || (from && from.getName() !== "from")) throw notUnderstood(instruction);
      const paths = copy.getArguments().map((argument) => argument.getValue());
      const target = paths.pop();
      if (target === undefined || paths.length === 0) throw notUnderstood(instruction);
      return { kind: "copy", from: from?.getValue() ?? undefined, sources: paths, target };
    }
    case "WORKDIR":
      return { kind: "workdir", path: wordsOf(instruction)[0] };
    case "ENV": {
      const properties = (instruction as Env).getProperties();
      const variables = properties.map((each) => [each.getName(), each.getValue() ?? ""] as const);
      return { kind: "env", variables: Object.fromEntries(variables) };
    }
  }
}

function configOf(instruction: Instruction): Partial<ImageConfig> {
  switch (instruction.getKeyword()) {
    case "USER":
      return { user: wordsOf(instruction)[0] };
    case "VOLUME":
      return { volumes: wordsOf(instruction) };
    case "EXPOSE":
      return { ports: wordsOf(instruction) };
    case "STOPSIGNAL":
      return { stopSignal: wordsOf(instruction)[0] };
    case "ENTRYPOINT":
      return { entrypoint: commandOf(instruction as JSONInstruction) };
    case "HEALTHCHECK": {
      const text = instruction.getArgumentsContent() ?? "";
      const [, command] = /\bCMD\s+([^]*)$/.exec(text) ?? [];
      if (command === undefined) throw notUnderstood(instruction);
      return { healthcheck: ["/bin/sh", "-c", command] };
    }
  }
  throw notUnderstood(instruction);
}

/** The exec form as it is, the shell form by `/bin/sh -c`. */
function commandOf(instruction: JSONInstruction): string[] {
  const strings = instruction.getJSONStrings().map((word) => word.getJSONValue());
  if (strings.length > 0) return strings;
  return ["/bin/sh", "-c", instruction.getRawArgumentsContent() ?? ""];
}

function wordsOf(instruction: Instruction): string[] {
  return instruction.getArguments().map((argument) => argument.getValue());
}

function notUnderstood(instruction: Instruction): Error {
  const line = instruction.getRange().start.line + 1;
  return new Error(`Line ${line}: ${instruction.getKeyword()} is not replayed in this form`);
}
