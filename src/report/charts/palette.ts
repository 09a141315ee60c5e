import type { MethodKind } from "../../experiments/records.ts";

// After Okabe and Ito's colours for all kinds of sight, darkened where they would be faint on white, lightened on black.
const COLOURS = {
  ink: ["#1b1f24", "#e6e9ee"],
  soft: ["#57606a", "#a3adb8"],
  line: ["#d0d7de", "#333c47"],
  paper: ["#ffffff", "#0f1318"],
  "kind-plain": ["#4b5563", "#b3bdc9"],
  "kind-guided": ["#c65200", "#ff9447"],
  "kind-baseline": ["#0072b2", "#56b4e9"],
  "kind-reference": ["#007d5b", "#35c79b"],
  "kind-control": ["#a8508a", "#e29bc9"],
  "line-1": ["#4b5563", "#b3bdc9"],
  "line-2": ["#d55e00", "#ff8a3d"],
  "line-3": ["#0072b2", "#4aa8e0"],
  "line-4": ["#007d5b", "#35c79b"],
  "line-5": ["#b0568f", "#e29bc9"],
  "line-6": ["#a87200", "#e6b422"],
  "line-7": ["#2584bd", "#9fd4f5"],
} as const;

export type ColourName = keyof typeof COLOURS;

/** A colour as the page's theme has it. */
export const colour = (name: ColourName): string => `var(--${name})`;

const declarations = (theme: 0 | 1): string =>
  Object.entries(COLOURS)
    .map(([name, values]) => `--${name}: ${values[theme]};`)
    .join(" ");

/** The colours as custom properties, for both themes. Paper is always light. */
export const COLOUR_STYLE = `
:root { ${declarations(0)} }
@media screen and (prefers-color-scheme: dark) { :root { ${declarations(1)} } }
`;

/** A drawing with the light theme's colours in place of the page's. */
export function inLight(svg: string): string {
  return svg.replace(/var\(--([\w-]+)\)/g, (whole, name: string) => COLOURS[name as ColourName]?.[0] ?? whole);
}

/** How the kinds of methods look: never told apart by colour alone. */
export const KINDS: Readonly<Record<MethodKind, { colour: string; shape: string; means: string }>> = {
  plain: { colour: colour("kind-plain"), shape: "circle", means: "trained on the labels alone" },
  guided: { colour: colour("kind-guided"), shape: "square", means: "guided by its maps, without annotations" },
  baseline: { colour: colour("kind-baseline"), shape: "diamond", means: "a published method without annotations" },
  reference: {
    colour: colour("kind-reference"),
    shape: "triangle-up",
    means: "sees masks or clean images: an upper bound, no rival",
  },
  control: { colour: colour("kind-control"), shape: "cross", means: "says what an effect is not due to" },
};

const LINES = 7;
const DASHES = [[], [6, 3], [2, 2], [8, 2, 2, 2]] as const;

/** Colour and dashes of the k-th line of a chart. */
export function lineStyle(index: number): { colour: string; dash: readonly number[] } {
  const name = `line-${(index % LINES) + 1}` as ColourName;
  return { colour: colour(name), dash: DASHES[Math.floor(index / LINES) % DASHES.length] ?? [] };
}
