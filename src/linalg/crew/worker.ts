/**
 * A helper: solves the tasks that it is given, one after another, blocking its own thread.
 *
 * The library is the one of the whole process, with the number of threads that whoever gives the tasks has set.
 *
 * @module
 */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { BuiltInFloat32, builtInFloat64, float64Within, openBlasAsHelper } from "@/engine/host.ts";
import { packError } from "@/errors.ts";
import type { FromHelper, Outcome, ToHelper } from "./protocol.ts";
import { solve, type Task, type Workplace } from "./task.ts";

let workplace: Workplace;

self.onmessage = async ({ data }: MessageEvent<ToHelper>) => {
  switch (data.type) {
    case "start": {
      const blas = data.blas && openBlasAsHelper(data.blas);
      workplace = {
        blas,
        builtIn: blas ? null : await BuiltInFloat32.open(),
        float64: blas ? float64Within(blas) : builtInFloat64,
        lane: "here",
      };
      return send({ type: "ready" });
    }
    case "solve":
      answer(data);
      return;
    case "stop":
      self.close();
      return;
  }
};

async function answer({ id, tasks }: ToHelper & { type: "solve" }): Promise<void> {
  const outcomes: Outcome[] = [];
  for (const task of tasks) outcomes.push(await outcomeOf(task));
  const buffers = outcomes.flatMap((outcome) =>
    "error" in outcome
      ? []
      : Object.values(outcome.solution).flatMap((value) =>
        value instanceof Float32Array ? [value.buffer as ArrayBuffer] : []
      )
  );
  send({ type: "solved", id, outcomes }, buffers);
  // what came in one piece of memory goes at once: left to the collector, it would stop this thread after every few shares
  const { buffer } = tasks[0].matrix.matrix;
  if (!buffer.detached) buffer.transfer(0);
}

async function outcomeOf(task: Task): Promise<Outcome> {
  try {
    return { solution: await solve(workplace, task) };
  } catch (error) {
    return { error: packError(error) };
  }
}

function send(message: FromHelper, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer);
}
