/**
 * What a method keeps, as tensors by name: the form in which states are averaged, stored and sent.
 *
 * A nested state `{ terms: [{ A, G }] }` has the names `terms/0/A`, `terms/0/G`; a flat one its own.
 *
 * @module
 */
import { Tensor } from "@tensorflow/tfjs-core";

/** Tensors by name. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** The tensors of a nested state; what is no tensor is left out. */
export function namedTensors(state: unknown, path = ""): NamedTensors {
  if (state instanceof Tensor) return { [path]: state };
  if (typeof state !== "object" || state === null) return {};
  return Object.assign(
    {},
    ...Object.entries(state).map(([key, inner]) =>
      namedTensors(inner, path === "" ? key : `${path}/${key}`)
    ),
  );
}

/** The nested state of such tensors: a level whose keys count from 0 is a list. */
export function nestedState(tensors: NamedTensors): unknown {
  const root: Record<string, unknown> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const path = name.split("/");
    let level = root;
    for (const key of path.slice(0, -1)) {
      level = (level[key] ??= {}) as Record<string, unknown>;
    }
    level[path.at(-1)!] = tensor;
  }
  return withLists(root);
}

function withLists(level: unknown): unknown {
  if (level instanceof Tensor || typeof level !== "object" || level === null) return level;
  const entries = Object.entries(level).map(([key, inner]) => [key, withLists(inner)] as const);
  const isList = entries.length > 0 && entries.every(([key], i) => key === String(i));
  return isList ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

/** Each tensor replaced; the names stay. */
export function mapNamed(tensors: NamedTensors, f: (tensor: Tensor) => Tensor): NamedTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, f(tensor)]));
}
