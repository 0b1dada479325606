/**
 * The crew of an engine.
 *
 * @module
 */
import { CpuEngine, type Engine, float64Within } from "@/engine/mod.ts";
import { Crew } from "./crew.ts";

export type { Crew } from "./crew.ts";
export type { Operation, Solutions } from "./task.ts";

/** One an engine. */
const crews = new WeakMap<Engine, Crew>();

export function crewOf(engine: Engine): Crew {
  let crew = crews.get(engine);
  if (!crew) {
    const { blas, builtIn } = engine instanceof CpuEngine ? engine : { blas: null, builtIn: null };
    const float64 = blas ? float64Within(blas) : engine.float64;
    crews.set(engine, crew = new Crew({ blas, builtIn, float64 }));
  }
  return crew;
}

/**
 * Starts threads that help with many small matrices; worth their memory where many are asked for, as in a server.
 *
 * @returns what ends them, to be called when nothing is asked any more.
 */
export function startHelpers(engine: Engine): Promise<() => void> {
  return engine.kind === "cpu" ? crewOf(engine).startHelpers() : Promise.resolve(() => {});
}
