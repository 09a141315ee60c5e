// The lines and kinds follow Okabe and Ito's colours, which colour-blind readers can tell apart. They are darker in the light theme and
// lighter in the dark one, so that each has enough contrast to the page. The first of each pair belongs to the light theme.
const COLOURS = {
  paper: ["#ffffff", "#0f1318"],
  panel: ["#f6f8fa", "#171c23"],
  text: ["#1b1f24", "#e6e9ee"],
  muted: ["#57606a", "#a3adb8"],
  rule: ["#d0d7de", "#333c47"],
  link: ["#0b5cad", "#7db8f5"],
  good: ["#11632f", "#6fd08c"],
  bad: ["#a3211a", "#ff8f85"],
  warning: ["#b3261e", "#ff8f85"],
  mark: ["#fff4e5", "#33271a"],
  "kind-plain": ["#4b5563", "#b3bdc9"],
  "kind-guided": ["#c65200", "#ff9447"],
  "kind-baseline": ["#0072b2", "#56b4e9"],
  "kind-reference": ["#007d5b", "#35c79b"],
  "kind-control": ["#a8508a", "#e29bc9"],
  "line-1": ["#4b5563", "#b3bdc9"],
  "line-2": ["#b8480b", "#ff9455"],
  "line-3": ["#0072b2", "#4aa8e0"],
  "line-4": ["#007d5b", "#35c79b"],
  "line-5": ["#b0568f", "#e29bc9"],
  "line-6": ["#a87200", "#e6b422"],
  "line-7": ["#2584bd", "#9fd4f5"],
} as const;

export type ColourName = keyof typeof COLOURS;

/** A colour of the page's theme. */
export const colour = (name: ColourName): string => `var(--${name})`;

const declarations = (theme: 0 | 1): string =>
  Object.entries(COLOURS)
    .map(([name, values]) => `--${name}: ${values[theme]};`)
    .join(" ");

/** The colours as custom properties, for the light and the dark theme. A printed page is always light. */
export const COLOUR_STYLE = `
:root { color-scheme: light dark; ${declarations(0)} }
@media screen and (prefers-color-scheme: dark) { :root { ${declarations(1)} } }
`;

/** A drawing with the light theme's colours in place of the custom properties, for a file. */
export function inLight(svg: string): string {
  return svg.replace(/var\(--([\w-]+)\)/g, (whole, name: string) => COLOURS[name as ColourName]?.[0] ?? whole);
}
