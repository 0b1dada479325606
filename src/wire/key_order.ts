/**
 * The order in which an object's keys were written.
 *
 * JavaScript puts keys that are whole numbers first, by size, whatever their order in the text; where the order of layers means
 * something, that would be another model.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { pointerTo } from "./document.ts";

/** Strings with the colon that makes them keys, and brackets; everything else is passed over. */
const TOKENS = /"(?:[^"\\]|\\.)*"(\s*:)?|[[\]{}]/g;

/** The keys of the object under a key of the outermost one, in the order of the text, which is valid JSON. */
export function keysInText(text: string, of: string): string[] {
  const keys: string[] = [];
  let depth = 0, isInside = false;
  for (const [token, colon] of text.matchAll(TOKENS)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (colon !== undefined) {
      const key: string = JSON.parse(token.slice(0, token.length - colon.length));
      if (depth === 1) isInside = key === of;
      else if (depth === 2 && isInside) keys.push(key);
    }
  }
  return keys;
}

/** @throws CurvdError `invalid-request` where the layers of a document are not in the order of its text. */
export function expectOrderKept(layers: Record<string, unknown>, text: string): void {
  const kept = Object.keys(layers);
  const written = [...new Set(keysInText(text, "layers"))];
  const moved = kept.find((name, at) => name !== written[at]);
  if (moved === undefined) return;
  throw new CurvdError(
    "invalid-request",
    `Layer "${moved}": names that are whole numbers do not keep their order, which means something here`,
    {
      layer: moved,
      pointer: pointerTo("layers", moved),
      suggestion: `put a letter before them: "l${moved}"`,
    },
  );
}
