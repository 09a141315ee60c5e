/** @import { Random } from "./random.mjs" */

/** Numbers that readers often handle wrongly: the limits of signed and unsigned integers of every width. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/**
 * The ways to damage bytes. Each function changes the copy that it is given, or returns another array.
 *
 * @type {Record<string, (bytes: Buffer, random: Random) => Buffer>}
 */
const MUTATIONS = {
  flipBit(bytes, { below }) {
    const at = below(bytes.length);
    if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
    return bytes;
  },
  setByte(bytes, { below, pick }) {
    if (bytes.length > 0) bytes[below(bytes.length)] = pick([0, 1, 0x7f, 0x80, 0xff, below(256)]);
    return bytes;
  },
  /** Sizes and offsets in headers are 2, 4 or 8 bytes long, in either byte order. */
  setInteger(bytes, { below, pick }) {
    const width = pick([2, 4, 8]);
    if (bytes.length < width) return bytes;
    const at = below(Math.min(bytes.length - width + 1, pick([64, 512, bytes.length])));
    const value = BigInt.asUintN(8 * width, BigInt(pick(EDGES)) * (below(3) === 0 ? -1n : 1n));
    const whole = Buffer.alloc(8);
    if (below(2) === 0) whole.writeBigUInt64LE(value);
    else whole.writeBigUInt64BE(BigInt.asUintN(64, value << BigInt(8 * (8 - width))));
    bytes.set(whole.subarray(0, width), at);
    return bytes;
  },
  cut: (bytes, { below }) => bytes.subarray(0, below(bytes.length + 1)),
  remove(bytes, { below }) {
    const [at, length] = [below(bytes.length + 1), 1 + below(16)];
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
  },
  repeat(bytes, { below }) {
    const [at, length] = [below(bytes.length + 1), 1 + below(64)];
    return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
  },
  insert(bytes, { below }) {
    const at = below(bytes.length + 1);
    const junk = Buffer.from(Array.from({ length: 1 + below(16) }, () => below(256)));
    return Buffer.concat([bytes.subarray(0, at), junk, bytes.subarray(at)]);
  },
  /** Texts are damaged in their own way: digits are replaced by other numbers, and words and brackets are removed. */
  replaceText(bytes, { below, pick }) {
    const text = bytes.toString("latin1");
    const tokens = [...text.matchAll(/-?\d+|[[\]{}",:()=;]|\b\w+\b/g)];
    const token = tokens[below(tokens.length)];
    if (token === undefined) return bytes;
    const junk = [
      "-1",
      "0",
      "9007199254740993",
      "1e999",
      "NaN",
      "null",
      "[]",
      '"',
      "\0",
      "../x",
      "=1",
      "\u001b[2J",
      "",
    ];
    const replaced = text.slice(0, token.index) + pick(junk) + text.slice(token.index + token[0].length);
    return Buffer.from(replaced, "latin1");
  },
};
const WAYS = Object.values(MUTATIONS);

/**
 * A damaged copy of some bytes, after one to four mutations.
 *
 * @param {Uint8Array} bytes
 * @param {Random} random
 */
export function mutate(bytes, random) {
  let damaged = Buffer.from(bytes);
  for (let count = 1 + random.below(4); count > 0; count--) damaged = Buffer.from(random.pick(WAYS)(damaged, random));
  return damaged;
}
