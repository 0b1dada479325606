/** The server killed in the middle of training, and started again. */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import {
  CurvatureOptimizer,
  type CurvatureOptions,
  CurvdClient,
  type StepReport,
  type TrainerEvent,
} from "@/trainer/mod.ts";
import { type ServerProcess, startServer } from "../../sessions/server_process.ts";
import { smallNet, smallTask, usual } from "../served.ts";

await tf.setBackend("cpu");

const STEPS = 24;
/** The step during which the server is killed. */
const KILLED = 8;

/** A port that is free now. */
function freePort(): string {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return String(port);
}

interface Course {
  readonly reports: StepReport[];
  readonly events: TrainerEvent[];
  /** Of the session, at the end. */
  readonly revision: number;
}

/**
 * Trains while the server is killed during a step and started again some steps later, or as soon as it is waited for.
 *
 * @param data where the server keeps sessions.
 * @param restart the step before which it starts again; null while the step of the kill is waiting.
 */
async function disturbed(
  data: string,
  options: Partial<CurvatureOptions>,
  restart: number | null = null,
): Promise<Course> {
  const port = freePort();
  const start = () => startServer(data, { CURVD_PORT: port });
  let server: ServerProcess = await start();
  const client = new CurvdClient(server.url, { retry: { attempts: 2, baseMs: 10, capMs: 20 } });
  const events: TrainerEvent[] = [];
  const model = smallNet();
  const task = smallTask();
  const optimizer = new CurvatureOptimizer(
    model,
    client,
    usual({ ...options, onEvent: (event) => events.push(event), session: { id: "survivor" } }),
  );
  const reports: StepReport[] = [];
  try {
    for (let step = 0; step < STEPS; step++) {
      if (step === restart) {
        server = await start();
        while (optimizer.status.isLost) await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const pending = optimizer.step(task.inputs, task.targets);
      if (step === KILLED) {
        await server.kill("SIGKILL");
        if (restart === null) server = await start();
      }
      reports.push(await pending);
      // who never waits would be done before the server has said anything
      if (options.asynchronous) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const { revision } = await client.session("survivor").inspect();
    await optimizer.close();
    return { reports, events, revision };
  } finally {
    optimizer.dispose();
    await server.kill("SIGTERM");
    tf.dispose(task);
  }
}

/** The same training with nothing in its way; remote and local are alike (optimizer_test.ts). */
async function undisturbed(): Promise<number[]> {
  const server = await startServer(":memory:");
  const task = smallTask();
  const optimizer = new CurvatureOptimizer(smallNet(), server.url, usual({ mode: "local" }));
  const losses = [];
  for (let step = 0; step < STEPS; step++) {
    losses.push((await optimizer.step(task.inputs, task.targets)).loss);
  }
  await optimizer.close();
  await server.kill("SIGTERM");
  tf.dispose(task);
  return losses;
}

const expected = await undisturbed();

/** Asserts that a training ends like the undisturbed one. */
function endsWithin(share: number, { reports }: Course): void {
  equal(reports.length, STEPS);
  const [ended, end] = [reports.at(-1)!.loss, expected.at(-1)!];
  ok(end < 0.5 * expected[0], `it trains: ${expected}`);
  ok(Math.abs(ended - end) <= share * end, `${ended} for ${end}`);
}

const kinds = (events: readonly TrainerEvent[]) =>
  events.map(({ type }) => type).filter((type) => type === "lost" || type === "back");

for (const mode of ["remote", "local"] as const) {
  Deno.test(`${mode}: killed during a step and started again, training ends within 2 % of the undisturbed loss, each batch counted once`, async () => {
    const data = await Deno.makeTempDir();
    const course = await disturbed(data, { mode });
    endsWithin(0.02, course);
    deepEqual(kinds(course.events), ["lost", "back"]);
    ok(course.events.some((event) => event.type === "back" && !event.recreated));
    ok(course.reports.every(({ direction }) => direction === "curvature"));
    // the killed server may not have heard of the step at all, or have kept it: it counts once either way
    equal(course.revision, STEPS);
    await Deno.remove(data, { recursive: true });
  });
}

Deno.test("a server that comes back with nothing gets its session anew, and training goes on", async () => {
  const course = await disturbed(":memory:", { mode: "remote" });
  endsWithin(0.25, course);
  ok(course.events.some((event) => event.type === "back" && event.recreated));
  equal(course.revision, STEPS - KILLED);
});

Deno.test("remote and onLost gradient: steps go on along the plain gradient, then with curvature again", async () => {
  const data = await Deno.makeTempDir();
  const options = { mode: "remote", onLost: "gradient", gradientRate: 0.01 } as const;
  const course = await disturbed(data, options, 13);
  const directions = course.reports.map(({ direction }) => direction);
  deepEqual(new Set(directions.slice(KILLED, 13)), new Set(["gradient"]));
  deepEqual(new Set(directions.slice(0, KILLED)), new Set(["curvature"]));
  deepEqual(new Set(directions.slice(14)), new Set(["curvature"]));
  deepEqual(kinds(course.events), ["lost", "back"]);
  ok(course.reports.at(-1)!.loss < 0.5 * course.reports[0].loss);
  await Deno.remove(data, { recursive: true });
});

Deno.test("local and onLate stale: a lost server is not even waited for, the preconditioner at hand serves", async () => {
  const data = await Deno.makeTempDir();
  const course = await disturbed(
    data,
    { mode: "local", asynchronous: true, maxDelay: 2, onLate: "stale", onLost: "gradient" },
    14,
  );
  const late = course.events.filter((event) => event.type === "late");
  ok(late.length > 0 && late.every((event) => event.then === "stale"));
  ok(course.reports.slice(1).filter(({ direction }) => direction === "gradient").length <= 3);
  const [before, after] = [course.reports[KILLED], course.reports[13]];
  equal(after.version, before.version);
  ok(after.age > before.age);
  ok(course.reports.at(-1)!.loss < 0.5 * course.reports[0].loss);
  await Deno.remove(data, { recursive: true });
});

Deno.test("an optimizer that is disposed stops looking for its server", async () => {
  const nowhere = new CurvdClient("http://127.0.0.1:9", { retry: { attempts: 1 } });
  const optimizer = new CurvatureOptimizer(smallNet(), nowhere, usual({ mode: "remote" }));
  const task = smallTask();
  const waiting = optimizer.step(task.inputs, task.targets);
  setTimeout(() => optimizer.dispose(), 100);
  await rejects(waiting, /was disposed/);
  tf.dispose(task);
});
