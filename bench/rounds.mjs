// Runs blocks of steps in rounds, one block of each side per round, so that a slow moment of the machine affects all sides.
/** @import { Patience } from "./machine.mjs" */
import { clock, LIMIT, othersSince } from "./machine.mjs";
import { median, spread } from "./statistics.mjs";

/** @import { Answer, Round } from "./types.d.ts" */

/**
 * The answers of all sides, by name, for each round. A disturbed round is repeated while there is patience left; after that it is kept and
 * marked as busy.
 *
 * @param {Record<string, () => Promise<Answer>>} blocks
 * @param {{ rounds: number, patience: Patience }} options
 * @returns {Promise<Round[]>}
 */
export async function inTurn(blocks, { rounds, patience }) {
  /** @type {Round[]} */
  const kept = [];
  while (kept.length < rounds) {
    await patience.quiet();
    const began = clock();
    const round = await oneRound(blocks);
    const busy = round.others > LIMIT;
    if (busy && patience.spend(clock().at - began.at)) continue;
    kept.push({ ...round, busy });
  }
  return kept;
}

/**
 * @param {Record<string, () => Promise<Answer>>} blocks
 * @returns {Promise<Omit<Round, "busy">>}
 */
async function oneRound(blocks) {
  /** @type {Record<string, Answer>} */
  const answers = {};
  let others = 0;
  for (const [side, block] of Object.entries(blocks)) {
    const before = clock();
    const answer = await block();
    answers[side] = answer;
    others = Math.max(others, othersSince(before, answer.cpuSeconds));
  }
  return { answers, others };
}

/**
 * The seconds of a variant's steps that a side took in a round.
 *
 * @param {Round} round
 * @param {string} side
 * @param {number} variant
 */
const secondsOf = ({ answers }, side, variant) => answers[side]?.seconds[variant] ?? [];

/**
 * The undisturbed rounds, or all rounds if every one was disturbed.
 *
 * @param {readonly Round[]} rounds
 */
export function quietOf(rounds) {
  const quiet = rounds.filter(({ busy }) => !busy);
  const used = quiet.length > 0 ? quiet : rounds;
  return { used, quiet: quiet.length, of: rounds.length, busy: quiet.length === 0 };
}

/**
 * The time of a variant's steps in milliseconds.
 *
 * @param {readonly Round[]} rounds
 * @param {string} side
 */
export const milliseconds = (rounds, side, variant = 0) =>
  spread(rounds.flatMap((round) => secondsOf(round, side, variant).map((seconds) => 1000 * seconds)));

/**
 * The time of one side's step relative to another's, round by round.
 *
 * @param {readonly Round[]} rounds
 * @param {string} side
 * @param {string} other
 */
export const sideRatio = (rounds, side, other, variant = 0) =>
  spread(rounds.map((round) => median(secondsOf(round, side, variant)) / median(secondsOf(round, other, variant))));

/**
 * The time of a variant's step relative to the plain step (the first variant) next to it.
 *
 * @param {readonly Round[]} rounds
 * @param {string} side
 * @param {number} variant
 */
export const overPlain = (rounds, side, variant) =>
  spread(
    rounds.flatMap((round) => {
      const plain = secondsOf(round, side, 0);
      return secondsOf(round, side, variant).map((seconds, i) => seconds / (plain[i] ?? Number.NaN));
    }),
  );
