/** What is told of a session to those who watch it. @module */
import { diagnosticsDocument } from "./session_diagnostics.ts";
import type { Live } from "./session_live.ts";
import type { SessionCallName, SessionEvent } from "./session_protocol.ts";
import type { StepAnswer } from "./session_update_answer.ts";

/** The events of a change that was just installed. @param call null for a refresh beside the steps. */
export function eventsOf(
  live: Live,
  call: SessionCallName | null,
  answer: StepAnswer,
): SessionEvent[] {
  return [
    ...(answer.isRefreshed ? [refreshEvent(live)] : []),
    ...(call === "steps" ? [stepEvent(live, answer)] : []),
  ];
}

function refreshEvent({ state: { version, revision, age, damping, layers } }: Live): SessionEvent {
  return {
    event: "refresh",
    version,
    revision,
    age,
    damping,
    layers: Object.fromEntries(
      [...layers].map(([name, { batches, diagnostics }]) => [
        name,
        { batches, diagnostics: diagnosticsDocument(diagnostics) },
      ]),
    ),
  };
}

/** `kl` is lr² ⟨update, F̂ update⟩ by the preconditioner's own model: lr² ν² ⟨U, ∇⟩, which the KL clip bounds. */
function stepEvent({ state }: Live, answer: StepAnswer): SessionEvent {
  const { version, revision, age, damping, layers } = state;
  const { innerProducts = {}, learningRate, fields } = answer;
  const { inner_product, kl_clip_factor } = fields as Record<string, number | undefined>;
  const klOf = (product: number) =>
    learningRate === undefined ? {} : { kl: learningRate ** 2 * (kl_clip_factor ?? 1) * product };
  return {
    event: "step",
    version,
    revision,
    age,
    damping,
    inner_product,
    ...(kl_clip_factor === undefined ? {} : { kl_clip_factor }),
    ...klOf(inner_product!),
    layers: Object.fromEntries(
      Object.entries(innerProducts).map(([name, product]) => {
        const { batches, batchesAtRefresh } = layers.get(name)!;
        return [name, {
          age: batches - batchesAtRefresh,
          inner_product: product,
          ...klOf(product),
        }];
      }),
    ),
  };
}
