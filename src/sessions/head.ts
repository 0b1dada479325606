/**
 * A session's head: everything of it that is no tensor, as JSON.
 *
 * @module
 */
import { hashOf, type Identity } from "./configuration.ts";
import type { BatchWords, LayerState, SessionState } from "./state.ts";

/** Version of the head. */
export const FORMAT = 1;

/** Everything of a session that is no tensor, as JSON. */
export interface Head {
  readonly format: number;
  readonly configuration_hash: string;
  readonly identity: Identity;
  readonly state: Omit<SessionState, "layers" | "retained"> & {
    readonly layers: readonly LayerHead[];
  };
}

/** Of one layer; a list, as JSON's objects do not keep the order of names like "0". */
interface LayerHead
  extends Omit<LayerState, "averages" | "forms" | "reference" | "previous" | "raw" | "rawOfForms"> {
  readonly name: string;
  readonly raw: BatchWords | null;
  readonly rawOfForms: BatchWords | null;
}

export function headOf(identity: Identity, state: SessionState): Head {
  const { layers, retained: _, ...counters } = state;
  return {
    format: FORMAT,
    configuration_hash: hashOf(identity),
    identity,
    state: {
      ...counters,
      layers: [...layers].map(([name, layer]) => {
        const { batches, batchesAtRefresh, description, tolerances, source } = layer;
        const { diagnostics, raw, rawOfForms } = layer;
        return {
          name,
          batches,
          batchesAtRefresh,
          description,
          tolerances,
          source,
          diagnostics,
          raw: raw?.words ?? null,
          rawOfForms: rawOfForms?.words ?? null,
        };
      }),
    },
  };
}
