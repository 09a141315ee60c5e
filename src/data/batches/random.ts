import { describeValue } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";

/** A source of uniform 32-bit integers. */
export type RandomSource = () => number;

/**
 * A random stream that is the same on every machine and independent of the engine's generator: xoshiro128** (Blackman
 * and Vigna). Its state is a hash of `purpose` and `keys`, so that streams with a different purpose or key are
 * independent.
 *
 * @param keys integers from 0 to 2^53 − 1
 * @throws E_ARGUMENT for other keys
 */
export function randomSource(purpose: string, keys: Readonly<Record<string, number>>): RandomSource {
  const words = [...Buffer.from(purpose, "utf8")];
  for (const [name, key] of Object.entries(keys)) {
    if (!Number.isSafeInteger(key) || key < 0) {
      throw new BatchCamError(
        "E_ARGUMENT",
        `${purpose}: ${name} must be an integer from 0 to 2^53 - 1, got ${describeValue(key)}`,
      );
    }
    words.push(key >>> 0, Math.floor(key / 2 ** 32));
  }
  const state = Uint32Array.from({ length: 4 }, (_, lane) => hash(words, lane));
  if (state.every((word) => word === 0)) state[0] = 1; // xoshiro never leaves the state of all zeros
  return () => step(state);
}

/** A uniform integer in [0, limit), without the bias of taking the remainder; limit is from 1 to 2^32. */
export function randomBelow(next: RandomSource, limit: number): number {
  const fair = 2 ** 32 - (2 ** 32 % limit);
  for (;;) {
    const value = next();
    if (value < fair) return value % limit;
  }
}

/** Shuffles in place, with every order equally likely (Fisher-Yates). */
export function shuffle<T extends Int32Array | number[]>(items: T, next: RandomSource): T {
  for (let i = items.length - 1; i > 0; i--) {
    const j = randomBelow(next, i + 1);
    const moved = items[i] as number;
    items[i] = items[j] as number;
    items[j] = moved;
  }
  return items;
}

function step(state: Uint32Array): number {
  const [a, b, c, d] = state as unknown as [number, number, number, number];
  const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
  const crossed = c ^ a;
  const mixed = d ^ b;
  state[0] = a ^ mixed;
  state[1] = b ^ crossed;
  state[2] = crossed ^ (b << 9);
  state[3] = rotate(mixed, 11);
  return result;
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/**
 * Hashes the words: FNV-like mixing, with MurmurHash3's finaliser after each word, so that similar keys give very
 * different states.
 */
function hash(words: readonly number[], lane: number): number {
  let h = finalise(0x9e3779b9 + lane);
  for (const word of words) h = finalise(Math.imul(h, 0x01000193) ^ word);
  return h >>> 0;
}

function finalise(x: number): number {
  let h = x ^ (x >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
