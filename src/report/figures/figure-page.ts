import { markup } from "../page/markup.ts";
import { type Block, INK, place, stack, textBlock } from "./block.ts";
import type { FigureCell } from "./cell.ts";
import { legendBlock } from "./legend.ts";
import { rasterize } from "./raster.ts";

/** A figure as text and as picture, the picture at twice the size of the SVG. */
export interface Figure {
  svg: string;
  png: Uint8Array;
}

/** The words around a figure. */
export interface PageText {
  title: string;
  subtitle?: string;
  footer?: string;
}

/** A narrower figure has no room for its title. */
export const MIN_WIDTH = 420;
const MARGIN = 24;

/** A page: title, blocks, then the colour scale and the meaning of the marks that its cells use. */
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
