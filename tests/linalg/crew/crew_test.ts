/** Helpers change who does the work, and nothing else. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { CurvdError } from "@/errors.ts";
import { type CpuEngine, float64Within } from "@/engine/mod.ts";
import { Crew } from "@/linalg/crew/crew.ts";
import type { Operation, Task } from "@/linalg/crew/task.ts";
import { libraryTest } from "../../support/libraries.ts";
import { gramMatrix, withSpectrum } from "../../support/matrices.ts";

function crewOf({ blas, builtIn, float64 }: CpuEngine): Crew {
  return new Crew({ blas, builtIn, float64: blas ? float64Within(blas) : float64 });
}

function taskOf(operation: Operation, matrix: Float32Array<ArrayBuffer>, shift = 0.1): Task {
  const d = Math.sqrt(matrix.length);
  return { operation, matrix: { name: `M${d}`, matrix, d }, shift, root: 2, verifyFully: false };
}

/** Of every operation and of several sizes, more than one thread does at once. */
function mixture(library: string): Task[] {
  const sides = library === "blas" ? [1, 33, 64, 130, 257, 400, 520] : [1, 33, 64, 130];
  return sides.flatMap((d) =>
    (["inverse", "whitener", "root", "eigh"] as const).map((operation) =>
      taskOf(operation, gramMatrix(d, d))
    )
  );
}

const indefinite = withSpectrum([-1, 2, 3], 1);

/** What became of tasks: their solutions, or the codes of their refusals. */
async function outcomesOf(crew: Crew, tasks: readonly Task[]): Promise<unknown[]> {
  const outcomes = await Promise.allSettled(tasks.map((task) => crew.solve(task)));
  return outcomes.map((outcome) => {
    if (outcome.status === "fulfilled") return outcome.value;
    ok(outcome.reason instanceof CurvdError, String(outcome.reason));
    return { code: outcome.reason.code, facts: outcome.reason.facts };
  });
}

libraryTest("helpers give the bits and the refusals that one thread gives", async (engine, of) => {
  const tasks = mixture(of);
  tasks.splice(2, 0, taskOf("inverse", indefinite, 0.5), taskOf("whitener", indefinite, 0.5));
  const crew = crewOf(engine);
  const without: unknown[] = [];
  for (const task of tasks) without.push(...await outcomesOf(crew, [task]));
  const stop = await crew.startHelpers(2);
  try {
    const withHelpers = await outcomesOf(crew, tasks);
    deepEqual(withHelpers, without);
    equal((withHelpers[2] as { code: string }).code, "not-positive-definite");
    deepEqual(await outcomesOf(crew, tasks.toReversed()), without.toReversed());
  } finally {
    stop();
  }
});

libraryTest(
  "a helper that rests gets what was asked first, and none of it is done here",
  async (engine) => {
    const crew = crewOf(engine);
    const given: number[] = [];
    const ends: (() => void)[] = [];
    const stop = await crew.startHelpers(2, () =>
      Promise.resolve({
        solve: async (tasks: readonly Task[]) => {
          given.push(...tasks.map(({ matrix }) => matrix.d));
          await new Promise<void>((end) => ends.push(end));
          return tasks.map(() => ({ solution: "a helper's" as never }));
        },
        stop: () => {},
      }));
    const later = () => new Promise((resolve) => setTimeout(resolve, 0));
    const outcomes: Promise<unknown>[] = [];
    for (const d of [500, 300, 310, 320]) {
      outcomes.push(crew.solve(taskOf("eigh", gramMatrix(d, d))));
      await later();
    }
    deepEqual(given, [500, 300]);
    ends[1]();
    await later();
    deepEqual(given, [500, 300, 310]);
    ends[2]();
    await later();
    deepEqual(given, [500, 300, 310, 320]);
    for (const end of ends) end();
    deepEqual(new Set(await Promise.all(outcomes)), new Set(["a helper's"]));
    stop();
  },
);

libraryTest(
  "a helper that had a part of something brief gets what was asked meanwhile",
  async (engine) => {
    const crew = crewOf(engine);
    const ends: (() => void)[] = [];
    const stop = await crew.startHelpers(2, () =>
      Promise.resolve({
        solve: async (tasks: readonly Task[]) => {
          await new Promise<void>((end) => ends.push(end));
          return tasks.map(() => ({ solution: "a helper's" as never }));
        },
        stop: () => {},
      }));
    const later = () => new Promise((resolve) => setTimeout(resolve, 0));
    const brief = [1, 2].map((seed) => crew.solve(taskOf("eigh", gramMatrix(100, seed))));
    await later();
    equal(ends.length, 1, "the other part is done here");
    const long = [1, 2].map((seed) => crew.solve(taskOf("eigh", gramMatrix(400, seed))));
    await later();
    equal(ends.length, 2);
    ends[0]();
    await later();
    equal(ends.length, 3, "the second of the long ones is with the helper that came to rest");
    for (const end of ends) end();
    await Promise.all([...brief, ...long]);
    stop();
  },
);

libraryTest("helpers leave the matrices that they are given as they are", async (engine) => {
  const crew = crewOf(engine);
  const stop = await crew.startHelpers(1);
  const matrices = Array.from({ length: 12 }, (_, at) => gramMatrix(48, at));
  const before = matrices.map((matrix) => matrix.slice());
  await Promise.all(matrices.map((matrix) => crew.solve(taskOf("eigh", matrix))));
  stop();
  deepEqual(matrices, before);
});

libraryTest("what a helper that died was to do is done here", async (engine, of) => {
  const crew = crewOf(engine);
  let asked = 0;
  const stop = await crew.startHelpers(2, () =>
    Promise.resolve({
      solve: () => (asked++, Promise.reject(new Error("on purpose"))),
      stop: () => {},
    }));
  const tasks = mixture(of);
  const outcomes = await outcomesOf(crew, tasks);
  ok(asked > 0);
  deepEqual(outcomes, await outcomesOf(crewOf(engine), tasks));
  const before = asked;
  await outcomesOf(crew, tasks);
  equal(asked, before, "who is gone is not asked again");
  stop();
});

libraryTest("a crew whose helpers do not start does all by itself", async (engine) => {
  const crew = crewOf(engine);
  const stop = await crew.startHelpers(3, () => Promise.reject(new Error("no Workers here")));
  const tasks = Array.from({ length: 8 }, (_, at) => taskOf("eigh", gramMatrix(64, at)));
  equal((await outcomesOf(crew, tasks)).length, 8);
  stop();
});
