// Blocks of steps in turn, one of each side in each round, so that a slow moment of the machine falls on all of them.
import { clock, LIMIT, othersSince } from "./machine.mjs";
import { median, spread } from "./statistics.mjs";

/**
 * The answers of all sides, by name, in each of so many rounds. A round that others disturbed is taken again while there is
 * patience left; then it stays, and says so.
 */
export async function inTurn(blocks, { rounds, patience }) {
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

async function oneRound(blocks) {
  const answers = {};
  let others = 0;
  for (const [side, block] of Object.entries(blocks)) {
    const before = clock();
    answers[side] = await block();
    others = Math.max(others, othersSince(before, answers[side].cpuSeconds));
  }
  return { answers, others };
}

/** The undisturbed rounds, or all where there is none. */
export function quietOf(rounds) {
  const quiet = rounds.filter(({ busy }) => !busy);
  const used = quiet.length > 0 ? quiet : rounds;
  return { used, quiet: quiet.length, of: rounds.length, busy: quiet.length === 0 };
}

/** Milliseconds of a variant's steps. */
export const milliseconds = (rounds, side, variant = 0) =>
  spread(rounds.flatMap(({ answers }) => answers[side].seconds[variant].map((seconds) => 1000 * seconds)));

/** One side's step over another's, round by round. */
export const sideRatio = (rounds, side, other, variant = 0) =>
  spread(rounds.map(({ answers }) => median(answers[side].seconds[variant]) / median(answers[other].seconds[variant])));

/** A variant's step over the plain one (the first variant) next to it. */
export const overPlain = (rounds, side, variant) =>
  spread(
    rounds.flatMap(({ answers }) => answers[side].seconds[variant].map((s, i) => s / answers[side].seconds[0][i])),
  );
