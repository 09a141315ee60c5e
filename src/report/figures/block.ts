import { Markup, markup } from "../page/markup.ts";
import { fitText, type TextRoom } from "./text-fit.ts";

/** A part of a figure: its drawing, from its own top left corner, and its size. */
export interface Block {
  body: Markup;
  width: number;
  height: number;
}

/** Colours of a figure: ink on white, two greys, one warning. */
export const INK = { text: "#1b1f24", soft: "#57606a", line: "#d0d7de", warning: "#b3261e", paper: "#ffffff" } as const;

/** Extra settings of `textBlock`. */
export interface TextBlockOptions extends TextRoom {
  colour?: string;
  anchor?: "start" | "middle" | "end";
}

const LEADING = 1.3;

/** Text that fits its box, on as many lines as it needs. If it had to be cut, the whole text is its tooltip. */
export function textBlock(text: string, options: TextBlockOptions): Block {
  const { colour = INK.text, anchor = "start", bold = false, width } = options;
  const { lines, size, cut } = fitText(text, options);
  const x = { start: 0, middle: width / 2, end: width }[anchor];
  const spans = lines.map((line, index) => {
    const y = round(size * (0.95 + index * LEADING));
    return markup`<tspan x="${x}" y="${y}">${line}</tspan>`;
  });
  const tooltip = cut ? markup`<title>${text}</title>` : "";
  const weight = bold ? new Markup(' font-weight="bold"') : "";
  const body = markup`<text font-size="${size}" fill="${colour}" text-anchor="${anchor}"${weight}>${tooltip}${spans}</text>`;
  return { body, width, height: lines.length === 0 ? 0 : round(size * (LEADING * lines.length - 0.05)) };
}

/** The block at a position. */
export function place(block: Block, x: number, y: number): Markup {
  return markup`<g transform="translate(${round(x)} ${round(y)})">${block.body}</g>\n`;
}

/** Blocks below each other. Empty blocks leave no gap. */
export function stack(blocks: readonly Block[], gap: number): Block {
  const bodies: Markup[] = [];
  let y = 0;
  for (const block of blocks.filter(({ height }) => height > 0)) {
    if (bodies.length > 0) y += gap;
    bodies.push(place(block, 0, y));
    y += block.height;
  }
  return { body: markup`${bodies}`, width: Math.max(0, ...blocks.map(({ width }) => width)), height: y };
}

/** Blocks in a row, which wraps at the width. */
export function flow(blocks: readonly Block[], { width, gap }: { width: number; gap: number }): Block {
  const bodies: Markup[] = [];
  let x = 0;
  let y = 0;
  let lineHeight = 0;
  for (const block of blocks) {
    if (x > 0 && x + block.width > width) {
      x = 0;
      y += lineHeight + gap / 2;
      lineHeight = 0;
    }
    bodies.push(place(block, x, y));
    x += block.width + gap;
    lineHeight = Math.max(lineHeight, block.height);
  }
  return { body: markup`${bodies}`, width, height: y + lineHeight };
}

/** Two decimals are finer than any screen, and keep the file small. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
