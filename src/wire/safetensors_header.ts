/**
 * The header of a safetensors file, read byte by byte.
 *
 *   { "<name>": { "dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24] }, …,
 *     "__metadata__": { "<key>": "<string>", … } }
 *
 * `JSON.parse` keeps the last of two equal keys and tells no byte offsets, so the few forms that a
 * header may hold have a parser of their own. It is stricter than the reference reader: no key twice,
 * no other fields, no other order of braces than the one above (fields of an entry in any order).
 *
 * Source: safetensors format, huggingface/safetensors, `safetensors/src/tensor.rs`.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";

/** A tensor as its header declares it, not yet held against the data. */
export interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Begin and end, in bytes from the start of the data. */
  readonly offsets: readonly [number, number];
  /** Where the entry's name begins in the file, for errors. */
  readonly at: number;
}

export interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  readonly entries: ReadonlyMap<string, HeaderEntry>;
}

/** The refusal of a file, with the byte at fault. */
export function malformed(message: string, offset: number, facts = {}): CurvdError {
  return new CurvdError("malformed-body", `${message} (byte ${offset})`, { ...facts, offset });
}

/**
 * Parses the header's JSON.
 *
 * @param file the whole file.
 * @param start first byte of the JSON, `end` the byte after it.
 * @throws CurvdError `malformed-body` with the byte offset.
 */
export function parseHeader(file: Uint8Array, start: number, end: number): Header {
  return new HeaderParser(file, start, end).header();
}

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a, ZERO = 0x30, NINE = 0x39;
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class HeaderParser {
  constructor(private readonly file: Uint8Array, private at: number, private readonly end: number) {
    // the reference reader skips blanks here; a file that begins otherwise is no safetensors file
    if (file[at] !== OPEN_BRACE) throw malformed("The header must begin with {", at);
  }

  header(): Header {
    let metadata: Map<string, string> = new Map();
    const entries = new Map<string, HeaderEntry>();
    this.object((name, at) => {
      if (name === "__metadata__") metadata = this.metadata();
      else entries.set(name, this.entry(at));
    });
    this.skipBlanks();
    if (this.at !== this.end) {
      throw malformed("Expected nothing but blanks after the header", this.at);
    }
    return { metadata, entries };
  }

  private metadata(): Map<string, string> {
    const pairs = new Map<string, string>();
    this.object((key) => pairs.set(key, this.string()));
    return pairs;
  }

  private entry(at: number): HeaderEntry {
    let dtype: string | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    this.object((field, fieldAt) => {
      if (field === "dtype") dtype = this.string();
      else if (field === "shape") shape = this.integers();
      else if (field === "data_offsets") offsets = this.integers();
      else throw malformed(`Unknown field "${field}" of a tensor`, fieldAt);
    });
    if (dtype === undefined || shape === undefined || offsets?.length !== 2) {
      throw malformed("A tensor needs dtype, shape and two data_offsets", at);
    }
    return { dtype, shape, offsets: [offsets[0], offsets[1]], at };
  }

  /** `{ "key": value, … }`, each value read by `readValue`. */
  private object(readValue: (key: string, at: number) => void): void {
    const seen = new Set<string>();
    this.take(OPEN_BRACE);
    if (this.takeIf(CLOSE_BRACE)) return;
    do {
      this.skipBlanks();
      const at = this.at;
      const key = this.string();
      if (key === "__proto__") throw malformed('The name "__proto__" is refused', at);
      if (seen.has(key)) throw malformed(`The name "${key}" appears twice`, at);
      seen.add(key);
      this.take(COLON);
      readValue(key, at);
    } while (this.takeIf(COMMA));
    this.take(CLOSE_BRACE);
  }

  private string(): string {
    this.skipBlanks();
    const start = this.at;
    this.take(QUOTE);
    while (this.at < this.end && this.file[this.at] !== QUOTE) {
      this.at += this.file[this.at] === BACKSLASH ? 2 : 1;
    }
    this.take(QUOTE);
    try {
      return JSON.parse(utf8.decode(this.file.subarray(start, this.at)));
    } catch {
      throw malformed("Not a JSON string in UTF-8", start);
    }
  }

  private integers(): number[] {
    const values: number[] = [];
    this.take(OPEN_BRACKET);
    if (this.takeIf(CLOSE_BRACKET)) return values;
    do values.push(this.integer()); while (this.takeIf(COMMA));
    this.take(CLOSE_BRACKET);
    return values;
  }

  private integer(): number {
    this.skipBlanks();
    const start = this.at;
    let value = 0;
    while (this.file[this.at] >= ZERO && this.file[this.at] <= NINE && this.at < this.end) {
      value = value * 10 + (this.file[this.at++] - ZERO);
    }
    const hasLeadingZero = this.file[start] === ZERO && this.at > start + 1;
    if (this.at === start || hasLeadingZero || !Number.isSafeInteger(value)) {
      throw malformed("Expected an integer from 0 to 2^53 - 1", start);
    }
    return value;
  }

  private take(byte: number): void {
    if (!this.takeIf(byte)) throw malformed(`Expected ${String.fromCharCode(byte)}`, this.at);
  }

  private takeIf(byte: number): boolean {
    this.skipBlanks();
    if (this.at >= this.end || this.file[this.at] !== byte) return false;
    this.at++;
    return true;
  }

  private skipBlanks(): void {
    while (this.at < this.end && isBlank(this.file[this.at])) this.at++;
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
