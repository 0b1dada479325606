/**
 * Work on many layers at once; an error gets the name of its layer.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";

/** Starts every layer before waiting for any, so that their linear algebra meets in one batch. */
export async function sideBySide<L, R>(
  layers: ReadonlyMap<string, L>,
  work: (layer: L, name: string) => Promise<R>,
): Promise<Map<string, R>> {
  const entries = [...layers];
  const outcomes = await Promise.allSettled(
    entries.map(([name, layer]) => naming(name, () => work(layer, name))),
  );
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed) throw failed.reason;
  return new Map(
    outcomes.map((outcome, i) => [entries[i][0], (outcome as PromiseFulfilledResult<R>).value]),
  );
}

/** Runs something of one layer. */
export async function naming<T>(layer: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const cause = attributed(error);
    throw cause.facts.layer === undefined ? cause.with({ layer }) : cause;
  }
}

/**
 * Gives an error of linear algebra, which knows only a problem's name (`fc1.A`), its layer and tensor.
 *
 * @throws what is no {@linkcode CurvdError}.
 */
export function attributed(error: unknown): CurvdError {
  if (!(error instanceof CurvdError)) throw error;
  const { problem, ...facts } = error.facts;
  if (typeof problem !== "string") return error;
  const [, layer, tensor] = /^(.*)\.(\w+)[^.]*$/.exec(problem) ?? [];
  return new CurvdError(error.code, error.message, { ...facts, layer, tensor }, { cause: error });
}
