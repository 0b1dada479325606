/**
 * Where JSON text stops being JSON: JavaScript's parser tells it in words alone, and not always.
 *
 * Asked only of text that could not be parsed.
 *
 * @module
 */

const LITERALS = ["true", "false", "null"];
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Of characters from the space on: those of control must be escaped. */
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\n\r]*/y;

/** Index of the first character that cannot be, or the text's length where it ends too early. */
export function jsonFault(text: string): number {
  const end = new Reader(text).value();
  return end.fault ?? (end.at < text.length ? end.at : text.length);
}

/** Where reading came to, or where it could not go on. */
interface Place {
  readonly at: number;
  readonly fault?: number;
}

class Reader {
  constructor(private readonly text: string) {}

  /** A value and the space around it. */
  value(from = 0): Place {
    const { text } = this;
    const at = this.past(SPACE, from)!;
    if (text[at] === "{") return this.list(at, "}", (from) => this.member(from));
    if (text[at] === "[") return this.list(at, "]", (from) => this.value(from));
    const literal = LITERALS.find((each) => text.startsWith(each, at));
    const end = literal ? at + literal.length : this.past(STRING, at) ?? this.past(NUMBER, at);
    return end === undefined ? { at, fault: at } : { at: this.past(SPACE, end)! };
  }

  private member(from: number): Place {
    const at = this.past(SPACE, from)!;
    const key = this.past(STRING, at);
    if (key === undefined) return { at, fault: at };
    const colon = this.past(SPACE, key)!;
    return this.text[colon] === ":" ? this.value(colon + 1) : { at: colon, fault: colon };
  }

  private list(from: number, close: string, item: (from: number) => Place): Place {
    const first = this.past(SPACE, from + 1)!;
    if (this.text[first] === close) return { at: this.past(SPACE, first + 1)! };
    for (let at = first;;) {
      const place = item(at);
      if (place.fault !== undefined) return place;
      if (this.text[place.at] === close) return { at: this.past(SPACE, place.at + 1)! };
      if (this.text[place.at] !== ",") return { at: place.at, fault: place.at };
      at = place.at + 1;
    }
  }

  private past(pattern: RegExp, at: number): number | undefined {
    pattern.lastIndex = at;
    return pattern.test(this.text) ? pattern.lastIndex : undefined;
  }
}
