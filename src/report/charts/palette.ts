import type { MethodKind } from "../../workflows/internal.ts";
import { type ColourName, colour } from "../page/colours.ts";

/** The appearance of the kinds of methods. Their shapes differ too, so that they can be distinguished without colour. */
export const KINDS: Readonly<Record<MethodKind, { colour: string; shape: string; means: string }>> = {
  plain: { colour: colour("kind-plain"), shape: "circle", means: "trained on the labels alone" },
  guided: { colour: colour("kind-guided"), shape: "square", means: "guided by its maps, without annotations" },
  baseline: { colour: colour("kind-baseline"), shape: "diamond", means: "a published method without annotations" },
  reference: {
    colour: colour("kind-reference"),
    shape: "triangle-up",
    means: "uses masks or clean images: an upper bound, not a competitor",
  },
  control: {
    colour: colour("kind-control"),
    shape: "cross",
    means: "shows which effects are not due to the prototypes",
  },
};

export interface LineStyle {
  colour: string;
  /** Lengths of the dashes and gaps; empty for a solid line. */
  dash: readonly number[];
}

const LINES = 7;
const DASHES = [[4, 2.5], [], [1.5, 2], [8, 2, 2, 2]] as const;

/**
 * The style of the line at an index, out of `count` lines. Up to four lines also differ in their dashes, so that they can be
 * distinguished in print. With more lines, the dashes change after every seven lines.
 */
export function lineStyle(index: number, count: number): LineStyle {
  const name = `line-${(index % LINES) + 1}` as ColourName;
  const dash =
    count <= DASHES.length ? DASHES[index] : [[], ...DASHES.filter((one) => one.length > 0)][Math.floor(index / LINES)];
  return { colour: colour(name), dash: dash ?? [] };
}
