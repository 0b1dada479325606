/**
 * What a JSON body may cost, found in one pass over its bytes before anything is parsed.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";

/** Most numbers of a JSON body: beyond it safetensors is 20 times cheaper for both sides. */
export const MAX_NUMBERS = 2 ** 20;
/** Deepest nesting: layers, layer, field, five axes, and room for what is not a tensor. */
export const MAX_DEPTH = 32;

const QUOTE = 0x22, COLON = 0x3a, BACKSLASH = 0x5c, MINUS = 0x2d, ZERO = 0x30, NINE = 0x39;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d;
/** Makes a brace of a bracket. */
const BRACE_BIT = 0x20;

/**
 * Counts numbers and depth, and finds keys that appear twice; the bytes need not be valid JSON.
 *
 * @throws CurvdError `body-too-large` beyond {@linkcode MAX_NUMBERS}, `malformed-body` beyond
 * {@linkcode MAX_DEPTH} and of a key that is there twice; all stop at the byte where that is found.
 */
export function checkJsonLimits(bytes: Uint8Array): void {
  let numbers = 0;
  let depth = 0;
  const keys: (Set<string> | undefined)[] = []; // of the object that is open at each depth
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === MINUS || (byte >= ZERO && byte <= NINE)) {
      if (++numbers > MAX_NUMBERS) throw tooManyNumbers();
      while (isNumeric(bytes[i + 1])) i++;
    } else if (byte === QUOTE) {
      const end = endOfString(bytes, i);
      if (bytes[pastSpace(bytes, end + 1)] === COLON) {
        noteKey(keys[depth] ??= new Set(), bytes, i, end);
      }
      i = end;
    } else if ((byte | BRACE_BIT) === OPEN_BRACE) {
      if (++depth > MAX_DEPTH) throw tooDeep(i);
      keys[depth] = undefined;
    } else if ((byte | BRACE_BIT) === CLOSE_BRACE) {
      depth--;
    }
  }
}

/** @throws CurvdError where an object has a key twice: of two values one would be lost. */
function noteKey(keys: Set<string>, bytes: Uint8Array, opening: number, closing: number): void {
  const key = new TextDecoder().decode(bytes.subarray(opening + 1, closing));
  if (keys.has(key)) {
    throw new CurvdError(
      "malformed-body",
      `The key "${key.slice(0, 60)}" appears twice in one object`,
      {
        offset: opening,
      },
    );
  }
  keys.add(key);
}

function pastSpace(bytes: Uint8Array, at: number): number {
  while (bytes[at] === 0x20 || (bytes[at] >= 0x09 && bytes[at] <= 0x0d)) at++;
  return at;
}

/** Index of the closing quote, or the last index where there is none. */
function endOfString(bytes: Uint8Array, opening: number): number {
  let i = opening + 1;
  while (i < bytes.length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
  return i;
}

/** Whether a byte can go on a number: a digit, sign, point or exponent. */
function isNumeric(byte: number | undefined): boolean {
  return byte !== undefined && (
    (byte >= ZERO && byte <= NINE) || byte === 0x2e || byte === 0x2b || byte === MINUS ||
    byte === 0x65 || byte === 0x45
  );
}

function tooManyNumbers(): CurvdError {
  return new CurvdError(
    "body-too-large",
    `A JSON body may hold ${MAX_NUMBERS} numbers, this holds more`,
    { limit: MAX_NUMBERS, suggestion: "send it as application/vnd.safetensors" },
  );
}

function tooDeep(offset: number): CurvdError {
  return new CurvdError("malformed-body", `A JSON body may nest ${MAX_DEPTH} levels deep`, {
    limit: MAX_DEPTH,
    offset,
  });
}
