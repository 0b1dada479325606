/** The image as its Dockerfile says it, and the reading of it that the replay goes by. */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { parse } from "yaml";
import { readConfig } from "../../src/config.ts";
import { imageConfig, parseDockerfile } from "../../src/deploy/replay/dockerfile.ts";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
const stages = parseDockerfile(read("Dockerfile"));
const config = imageConfig(stages);

Deno.test("parseDockerfile() reads stages, steps and the container's configuration", () => {
  const parsed = parseDockerfile([
    "# a comment",
    "FROM debian:trixie-slim AS base",
    "ENV A=1 B='two words'",
    "RUN echo one \\",
    "  && echo two",
    "FROM base",
    "WORKDIR /app",
    "COPY --from=base /x /y /to/",
    'RUN ["ls", "-l"]',
    "USER 1:2",
    "HEALTHCHECK --interval=1s \\",
    "  CMD check it",
    'ENTRYPOINT ["a", "b"]',
  ].join("\n"));
  deepEqual(parsed.map(({ name, base }) => [name, base]), [["base", "debian:trixie-slim"], [
    "1",
    "base",
  ]]);
  deepEqual(parsed[0].steps, [
    { kind: "env", variables: { A: "1", B: "two words" } },
    { kind: "run", command: ["/bin/sh", "-c", "echo one \\\n  && echo two"] },
  ]);
  deepEqual(parsed[1].steps, [
    { kind: "workdir", path: "/app" },
    { kind: "copy", from: "base", sources: ["/x", "/y"], target: "/to/" },
    { kind: "run", command: ["ls", "-l"] },
  ]);
  const { env: { PATH: _, ...env }, ...rest } = imageConfig(parsed);
  deepEqual(env, { A: "1", B: "two words" });
  deepEqual(rest, {
    workdir: "/app",
    user: "1:2",
    volumes: [],
    ports: [],
    entrypoint: ["a", "b"],
    healthcheck: ["/bin/sh", "-c", "check it"],
    stopSignal: "SIGTERM",
  });
});

Deno.test("parseDockerfile() refuses what it would have to guess, naming the line", () => {
  throws(() => parseDockerfile("FROM a\n\nADD x /x"), /Line 3: ADD/);
  throws(() => parseDockerfile("FROM a\nCOPY --link x /x"), /Line 2: COPY/);
});

Deno.test("the image runs without root, keeps its state in a volume and watches its health", () => {
  match(config.user, /^[1-9]\d*:[1-9]\d*$/);
  deepEqual(config.volumes, ["/app/data"]);
  equal(config.workdir, "/app");
  match(config.healthcheck.join(" "), /src\/deploy\/check_health\.ts/);
  deepEqual(config.entrypoint, ["deno", "task", "--quiet", "serve"]);
  equal(config.stopSignal, "SIGTERM");
  equal(config.env.NVIDIA_DRIVER_CAPABILITIES, "compute,utility,graphics");
});

Deno.test("the image has the Deno that the README starts", () => {
  const [, version] = /deno@([\d.]+) task serve/.exec(read("README.md"))!;
  ok(read("Dockerfile").includes(`deno==${version}`));
});

Deno.test("compose takes every right away that the service does not need", () => {
  const { services: { curvd } } = parse(read("src/deploy/compose.yaml"));
  equal(curvd.read_only, true);
  deepEqual(curvd.cap_drop, ["ALL"]);
  deepEqual(curvd.security_opt, ["no-new-privileges:true"]);
  deepEqual(curvd.volumes.map((volume: string) => volume.split(":")[1]), config.volumes);
  const stopSeconds = Number(/^(\d+)s$/.exec(curvd.stop_grace_period)?.[1]);
  ok(1000 * stopSeconds > readConfig(() => undefined).graceMs, "it is killed while it drains");
  for (const port of curvd.ports) match(port, /^127\.0\.0\.1:\d+:5322$/);
  for (const gpu of ["nvidia", "dri"]) {
    const { services } = parse(read(`src/deploy/compose.${gpu}.yaml`));
    deepEqual(Object.keys(services), ["curvd"]);
    equal(services.curvd.environment.CURVD_ENGINE, "webgpu");
  }
});
