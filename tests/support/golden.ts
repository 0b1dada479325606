/**
 * Golden vectors: how a file is read and when a result passes.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { distance, norm } from "./dense.ts";
import { wire } from "./calls.ts";
import type { WireTensor } from "@/wire/mod.ts";

export interface GoldenTensor {
  readonly shape: number[];
  readonly data: number[];
}

/** A parameter is a number, a switch, a word or a list; which, the case's method says. `never` fits wherever it goes. */
export type GoldenParams = Readonly<Record<string, never>>;

export interface GoldenCase {
  readonly id: string;
  readonly inputs: Readonly<Record<string, GoldenTensor>>;
  readonly params: GoldenParams;
  readonly expected: Readonly<Record<string, Expected>>;
}

interface Expected {
  readonly value: GoldenTensor | number | number[];
  readonly rel_fro_tol: number;
  readonly abs_tol: number | null;
}

const FOLDER = new URL("../golden/", import.meta.url);

/** Names of the golden files, without their ending. */
export function goldenFiles(): string[] {
  return [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
    .filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -5)).sort();
}

export function goldenCases(file: string): GoldenCase[] {
  return JSON.parse(Deno.readTextFileSync(new URL(`${file}.json`, FOLDER))).cases;
}

/** A tensor of a case as one of a request. */
export function tensorOf({ shape, data }: GoldenTensor): WireTensor {
  return wire(shape, data);
}

/**
 * Expects `‖x − value‖_F ≤ max(rel_fro_tol·‖value‖_F, abs_tol)`.
 *
 * @param part what of both is compared; by default all.
 */
export function expectGolden(
  what: string,
  actual: ArrayLike<number>,
  expected: Expected,
  part = (x: ArrayLike<number>) => x,
): void {
  const value = part(flat(expected.value));
  const error = distance(part(actual), value);
  const bound = Math.max(expected.rel_fro_tol * norm(value), expected.abs_tol ?? 0);
  ok(error <= bound, `${what}: error ${error} over ${bound} (${value.length} numbers)`);
}

function flat(value: Expected["value"]): number[] {
  return typeof value === "number" ? [value] : Array.isArray(value) ? value : value.data;
}
