/**
 * Bodies with something wrong in them: valid ones, cut, spliced, flipped and overwritten.
 *
 * @module
 */
import { decodeDocument, encodeDocument, type Encoding, PLAIN_OUTPUT } from "../../src/wire/mod.ts";
import { STATELESS_CALLS } from "../../routes/calls.ts";
import { joined } from "../wire/bytes.ts";

export type Body = Uint8Array<ArrayBuffer>;
/** Uniform in [0, 1). */
export type Random = () => number;

const text = new TextEncoder();

/** What parsers stumble over: limits of integers, names that are not fields, halves of characters. */
const SNAGS = [
  ...'{}[]",:\\0-.eE \n\0',
  ..."__proto__ constructor null true NaN Infinity -0 1e999 1e-999 \\u0000 \\ud800 //".split(" "),
  "9007199254740993",
  "18446744073709551616",
  "4294967295",
  "-1",
  "0x10",
  "{}",
  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
  '"shape":[4294967296,4294967296]',
  '"data_offsets":[0,0]',
  '"__metadata__":{}',
  '"dtype":"F8_E4M3"',
].map((snag) => text.encode(snag));
const BYTES = [0, 1, 0x7f, 0x80, 0xc0, 0xed, 0xfe, 0xff];

/** Header lengths that are wrong in a way of their own. */
const LENGTHS = [
  0n,
  1n,
  7n,
  8n,
  2n ** 20n,
  2n ** 20n + 1n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
  2n ** 64n - 1n,
];

/** Bodies that are right: the reference's example of every call, in one encoding. */
export function validBodies(encoding: Encoding): Body[] {
  return STATELESS_CALLS.map(({ example }) => {
    const json = text.encode(JSON.stringify(example));
    if (encoding === "json") return json;
    return joined(encodeDocument(decodeDocument(json, "json"), "safetensors", PLAIN_OUTPUT));
  });
}

/** One body of `bodies`, wrong in one to four ways. */
export function mutated(bodies: readonly Body[], random: Random): Body {
  let body = pick(bodies, random);
  for (let left = 1 + Math.floor(4 * random() ** 2); left > 0; left--) {
    body = pick(MUTATIONS, random)(body, random, bodies);
  }
  return body;
}

type Mutation = (body: Body, random: Random, bodies: readonly Body[]) => Body;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(body, random) {
    const copy = body.slice();
    copy[within(copy.length, random)] ^= 1 << within(8, random);
    return copy;
  },
  function setByte(body, random) {
    const copy = body.slice();
    copy[within(copy.length, random)] = pick(BYTES, random);
    return copy;
  },
  function cut(body, random) {
    return body.slice(0, within(body.length, random));
  },
  function remove(body, random) {
    const [begin, end] = range(body, random);
    return joined([body.subarray(0, begin), body.subarray(end)]);
  },
  function repeat(body, random) {
    const [begin, end] = range(body, random);
    return joined([body.subarray(0, end), body.subarray(begin)]);
  },
  function insertSnag(body, random) {
    const at = within(body.length + 1, random);
    return joined([body.subarray(0, at), pick(SNAGS, random), body.subarray(at)]);
  },
  function overwriteBySnag(body, random) {
    const snag = pick(SNAGS, random);
    const at = within(body.length + 1, random);
    return joined([body.subarray(0, at), snag, body.subarray(at + snag.length)]);
  },
  function splice(body, random, bodies) {
    const other = pick(bodies, random);
    const at = within(Math.min(body.length, other.length) + 1, random);
    return joined([body.subarray(0, at), other.subarray(at)]);
  },
  function changeNumber(body, random) {
    const digits = [...body.keys()].filter((at) => body[at] >= 0x30 && body[at] <= 0x39);
    if (digits.length === 0) return body;
    const copy = body.slice();
    copy[pick(digits, random)] = 0x30 + within(10, random);
    return copy;
  },
  function changeLength(body, random) {
    if (body.length < 8) return body;
    const copy = body.slice();
    const view = new DataView(copy.buffer);
    const near = view.getBigUint64(0, true) + BigInt(within(33, random) - 16);
    view.setBigUint64(0, random() < 0.5 ? BigInt.asUintN(64, near) : pick(LENGTHS, random), true);
    return copy;
  },
];

function within(length: number, random: Random): number {
  return Math.floor(length * random());
}

function pick<T>(choices: readonly T[], random: Random): T {
  return choices[within(choices.length, random)];
}

/** A range of at most 32 bytes. */
function range(body: Body, random: Random): [number, number] {
  const begin = within(body.length + 1, random);
  return [begin, Math.min(body.length, begin + within(33, random))];
}
