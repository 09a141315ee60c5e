/**
 * @typedef {object} Random
 * @property {() => number} next
 * @property {(n: number) => number} below a whole number from 0 to n - 1
 * @property {<Item>(list: readonly Item[]) => Item} pick
 */

/**
 * mulberry32: a stream of numbers in [0, 1) that depends only on its seed.
 *
 * @param {number} seed
 * @returns {Random}
 */
export function randomSource(seed) {
  let state = seed | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  /** @param {number} n */
  const below = (n) => Math.floor(next() * n);
  return { next, below, pick: (list) => /** @type {(typeof list)[number]} */ (list[below(list.length)]) };
}
