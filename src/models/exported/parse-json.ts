import type { Fail } from "../../io/internal.ts";

/** Limits of a JSON file: some 30,000 nodes of about 120 values and 2 kB each. They bound the memory that parsing needs. */
export const MAX_JSON_BYTES = 2 ** 26;
const MAX_VALUES = 4_000_000;
const MAX_DEPTH = 256;

const code = (character: string) => character.charCodeAt(0);
const [QUOTE, BACKSLASH, COMMA] = [code('"'), code("\\"), code(",")];
const OPENING = new Set([code("["), code("{")]);
const CLOSING = new Set([code("]"), code("}")]);
const NON_FINITE = new Set([code("I"), code("N")]);

/**
 * Parses the JSON of a program. Python writes numbers that are not finite as the bare words NaN, Infinity and -Infinity
 * (torch 2.6 does, later versions write strings): they become strings. The number of values and the depth are checked before
 * JSON.parse, which would exhaust the heap on millions of empty brackets.
 */
export function parseJson(bytes: Buffer, what: string, fail: Fail): unknown {
  const { nonFinite, fault } = scan(bytes);
  if (fault !== undefined) return fail(`${what} ${fault}`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(quoteWords(bytes, nonFinite)));
  } catch (error) {
    return fail(`${what} is not JSON (${(error as Error).message})`);
  }
}

interface Scan {
  /** Positions of the letters I and N outside of strings, at which a number that is not finite can begin. */
  nonFinite: number[];
  fault?: string;
}

function scan(bytes: Buffer): Scan {
  const nonFinite: number[] = [];
  let [values, depth, inString] = [0, 0, false];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (OPENING.has(byte)) {
      values++;
      if (++depth > MAX_DEPTH) return { nonFinite, fault: `is nested deeper than ${MAX_DEPTH} levels` };
    } else if (CLOSING.has(byte)) depth--;
    else if (byte === COMMA) values++;
    else if (NON_FINITE.has(byte)) nonFinite.push(at);
    if (values > MAX_VALUES) return { nonFinite, fault: `has more than ${MAX_VALUES} values` };
  }
  return { nonFinite };
}

const WORDS = ["NaN", "Infinity"];

function quoteWords(bytes: Buffer, positions: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  let end = 0;
  for (const at of positions) {
    const word = WORDS.find((candidate) => bytes.toString("latin1", at, at + candidate.length) === candidate);
    if (word === undefined) continue;
    const start = at > end && bytes[at - 1] === code("-") ? at - 1 : at;
    const next = at + word.length;
    parts.push(bytes.subarray(end, start), Buffer.from(`"${bytes.toString("latin1", start, next)}"`));
    end = next;
  }
  return parts.length === 0 ? bytes : Buffer.concat([...parts, bytes.subarray(end)]);
}
