/**
 * What a refresh found out of a session's layers, read with the answer and told in its words.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { spectrumOf } from "@/linalg/mod.ts";
import {
  type FactorDiagnostics,
  type Finding,
  type Findings,
  type SessionState,
  withLayers,
} from "@/sessions/mod.ts";
import type { Document } from "@/wire/mod.ts";
import { worst } from "./worst.ts";

type Arrays = Readonly<Record<string, Float32Array>>;

/** Tensors to read of findings, and the state with what they say. */
export interface Diagnosed {
  readonly read: Readonly<Record<string, Tensor>>;
  /** @param arrays by the names of `read`. */
  finish(state: SessionState, arrays: Arrays): SessionState;
}

/** How findings become a state's diagnostics; nothing where nothing was refreshed. */
export function diagnosed(findings: ReadonlyMap<string, Findings> = new Map()): Diagnosed {
  const each = [...findings].flatMap(([layer, of]) =>
    Object.entries(of).map(([factor, finding]) => ({ layer, factor, finding }))
  );
  const read: Record<string, Tensor> = {};
  each.forEach(({ finding: { spectrum, drift } }, i) => {
    if (spectrum) {
      const { values, norm, largest } = spectrum;
      Object.assign(read, { [`values ${i}`]: values, [`norm ${i}`]: norm });
      read[`largest ${i}`] = largest;
    }
    if (drift) read[`drift ${i}`] = drift;
  });
  const finish = (state: SessionState, arrays: Arrays): SessionState => {
    const told = new Map<string, Record<string, FactorDiagnostics>>();
    each.forEach(({ layer, factor, finding }, i) => {
      const of = (name: string): Float32Array | undefined => arrays[`${name} ${i}`];
      told.set(layer, { ...told.get(layer), [factor]: factorDiagnostics(finding, of) });
    });
    return withLayers(
      state,
      [...told].map(([name, diagnostics]) =>
        [name, { ...state.layers.get(name)!, diagnostics }] as const
      ),
    );
  };
  return { read, finish };
}

function factorDiagnostics(
  { reports, spectrum }: Finding,
  of: (name: string) => Float32Array | undefined,
): FactorDiagnostics {
  const drift = of("drift");
  return {
    ...worst(reports),
    ...(spectrum
      ? { spectrum: spectrumOf(spectrum.source, of("values")!, of("norm")![0], of("largest")![0]) }
      : {}),
    ...(drift ? { drift: Math.max(...drift) } : {}),
  };
}

/** A layer's diagnostics as documents have them: without numbers that are infinite, as JSON has none. */
export function diagnosticsDocument(
  diagnostics: Readonly<Record<string, FactorDiagnostics>>,
): Document {
  return Object.fromEntries(
    Object.entries(diagnostics).map(([factor, { spectrum, ...facts }]) => [factor, {
      ...finiteOf(facts),
      ...(spectrum
        ? {
          spectrum: { source: spectrum.source, ...finiteOf({ ...spectrum.quantiles }) },
          ...finiteOf({ largest_eigenvalue: spectrum.largest, stable_rank: spectrum.stableRank }),
        }
        : {}),
    }]),
  );
}

function finiteOf(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(facts).filter(([, fact]) => typeof fact !== "number" || Number.isFinite(fact)),
  );
}
