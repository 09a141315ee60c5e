import { type Markup, markup } from "../page/markup.ts";
import type { Colormap } from "../pictures/colormap.ts";
import { scaleAddress } from "../pictures/png.ts";
import { type Block, flow, INK, place, stack, textBlock } from "./block.ts";
import { cross, type FigureCell, isDeadCell, wrongBadge } from "./cell.ts";
import { textWidth } from "./font.ts";
import { rasterize } from "./raster.ts";

/** A figure as SVG and as PNG. The PNG has twice the pixels of the SVG. */
export interface Figure {
  svg: string;
  png: Uint8Array;
}

/** The texts around a figure. */
export interface PageText {
  title: string;
  subtitle?: string;
  footer?: string;
}

/** The least width of a figure, which its title needs. */
export const MIN_WIDTH = 420;
const MARGIN = 24;

/** A page with a title, the blocks, and a legend of the colours and marks that its cells use. */
export function figurePage(text: PageText, blocks: Block[], page: { width: number; cells: FigureCell[] }): Figure {
  const { title, subtitle = "", footer = "" } = text;
  const { width: room, cells } = page;
  const soft = { width: room, colour: INK.soft };
  const heading = textBlock(title, { width: room, size: 17, minSize: 12, lines: 3, bold: true });
  const subheading = textBlock(subtitle, { ...soft, size: 11.5, minSize: 9, lines: 4 });
  const note = textBlock(footer, { ...soft, size: 10, minSize: 8, lines: 8 });
  const end = stack([legendBlock(cells, room), note], 12);
  const content = stack([stack([heading, subheading], 4), ...blocks, end], 16);
  const width = Math.ceil(room + 2 * MARGIN);
  const height = Math.ceil(content.height + 2 * MARGIN);
  const svg =
    markup`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="DejaVu Sans, Verdana, sans-serif">
<title>${title}</title><desc>${subtitle}</desc>
<rect width="${width}" height="${height}" fill="${INK.paper}"/>
${place(content, MARGIN, MARGIN)}</svg>
`.text;
  return { svg, png: rasterize(svg, { width, height }) };
}

const SIZE = 10;
const BAR = { width: 150, height: 10 };

/** The colour scale of the maps and the meaning of the marks, as far as the cells use them. */
function legendBlock(cells: FigureCell[], width: number): Block {
  const items: Block[] = [];
  const coloured = cells.find(({ kind }) => kind !== "image");
  if (coloured) items.push(scale(coloured.colormap));
  if (cells.some(isDeadCell)) items.push(entry(deadSwatch(), "dead map: zero everywhere"));
  if (cells.some(({ wrong }) => wrong)) items.push(entry(wrongBadge(0, 0), "wrong prediction"));
  return flow(items, { width, gap: 28 });
}

function scale(colormap?: Colormap): Block {
  const label = "map value";
  const left = textWidth(label, { size: SIZE }) + 10;
  const bar = markup`<image width="${BAR.width}" height="${BAR.height}" preserveAspectRatio="none" href="${scaleAddress(colormap)}"/>`;
  const frame = markup`<rect x="0.5" y="0.5" width="${BAR.width - 1}" height="${BAR.height - 1}" fill="none" stroke="${INK.line}"/>`;
  const ticks = [0, 0.5, 1].map((value) => {
    const anchor = value === 0 ? "start" : value === 1 ? "end" : "middle";
    return markup`<text x="${value * BAR.width}" y="${BAR.height + 12}" font-size="9" text-anchor="${anchor}" fill="${INK.soft}">${value}</text>`;
  });
  const body = markup`${words(label, 0)}${place({ ...BAR, body: markup`${bar}${frame}${ticks}` }, left, 1)}`;
  return { body, width: left + BAR.width, height: BAR.height + 15 };
}

function entry(mark: Markup, text: string): Block {
  return { body: markup`${mark}${words(text, 20)}`, width: 20 + textWidth(text, { size: SIZE }), height: 15 };
}

function words(text: string, x: number): Markup {
  return markup`<text x="${x}" y="10" font-size="${SIZE}" fill="${INK.soft}">${text}</text>`;
}

function deadSwatch(): Markup {
  const box = { width: 13, height: 13 };
  return markup`<rect width="13" height="13" fill="#000004"/>${cross(box)}`;
}
