import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { type Markup, markup } from "../page/markup.ts";
import { channelsOf, expectMap } from "../pictures/picture.ts";
import { type Block, INK, place, stack, textBlock } from "./block.ts";
import { type CellBox, cellBlock, type FigureCell } from "./cell.ts";
import { type Figure, figurePage, MIN_WIDTH, type PageText } from "./figure-page.ts";
import { fittedWidth } from "./text-fit.ts";

/** One row of a figure: as many cells as the figure has columns. */
export interface FigureRow {
  label: string;
  cells: (FigureCell | null)[];
  /** One short text under each cell. */
  captions?: string[];
}

/** The input of `camFigure`. */
export interface FigureInput extends PageText {
  /** Names above the columns: the classes. */
  columns: string[];
  rows: FigureRow[];
}

const GAP = 6;
const LABEL_GAP = 12;
const LABEL_ROOM = { width: 124, size: 11.5, minSize: 8, lines: 4 };
/** More columns than this continue in another band below. */
const MAX_COLUMNS = 12;

/**
 * A table of pictures: a column for each class, a row for each kind of picture (image, prototype, maps, overlay), and a colour scale
 * from 0 to 1. Dead maps are crossed out and wrong predictions are marked.
 *
 * @throws E_ARGUMENT if columns or rows are missing, or a size is not a positive whole number; E_SHAPE if a row does not hold a cell for
 *   each column, or pixels do not fill their cell
 */
export function camFigure(input: FigureInput): Figure {
  checkFigure(input);
  const layout = layoutOf(input);
  return figurePage(input, bands(input, layout), { width: layout.width, cells: cellsOf(input) });
}

interface Layout {
  box: CellBox;
  gutter: number;
  perBand: number;
  width: number;
}

function layoutOf({ columns, rows }: FigureInput): Layout {
  const box = boxFor(cellsOf({ rows }));
  const gutter = Math.ceil(Math.max(...rows.map(({ label }) => fittedWidth(label, LABEL_ROOM)))) + 1;
  const perBand = Math.ceil(columns.length / Math.ceil(columns.length / MAX_COLUMNS));
  const width = gutter + LABEL_GAP + perBand * (box.width + GAP) - GAP;
  return { box, gutter, perBand, width: Math.max(width, MIN_WIDTH) };
}

/** A box of about 84 pixels that enlarges the finest picture by a whole number, so that all its pixels have the same size. */
function boxFor(cells: FigureCell[]): CellBox {
  const width = Math.max(1, ...cells.map((cell) => cell.width));
  const height = Math.max(1, ...cells.map((cell) => cell.height));
  const side = Math.max(width, height);
  const scale = side <= 112 ? Math.max(1, Math.round(84 / side)) : 112 / side;
  const atLeast = (length: number) => Math.max(48, Math.round(length * scale));
  return { width: atLeast(width), height: atLeast(height) };
}

function bands(input: FigureInput, layout: Layout): Block[] {
  const starts = [];
  for (let start = 0; start < input.columns.length; start += layout.perBand) starts.push(start);
  return starts.map((start) => band(input, layout, start));
}

function band({ columns, rows }: FigureInput, layout: Layout, start: number): Block {
  const end = start + layout.perBand;
  const names = columns.slice(start, end).map((name) => columnText(name, layout.box, { bold: true, colour: INK.text }));
  const header = beside(names, layout, "bottom");
  const lines = rows.map((row) => {
    const label = textBlock(row.label, { ...LABEL_ROOM, width: layout.gutter, colour: INK.soft });
    const labelled = place(label, 0, (layout.box.height - label.height) / 2);
    const cells = beside(
      row.cells.slice(start, end).map((cell) => cellBlock(cell, layout.box)),
      layout,
    );
    const captions = (row.captions ?? []).slice(start, end).map((text, index) => {
      const colour = row.cells[start + index]?.wrong ? INK.warning : INK.soft;
      return columnText(text, layout.box, { colour });
    });
    const line = { ...cells, body: markup`${labelled}${cells.body}` };
    return stack([line, beside(captions, layout)], 3);
  });
  return stack([header, ...lines], GAP);
}

function columnText(text: string, { width }: CellBox, style: { bold?: boolean; colour: string }): Block {
  return textBlock(text, { width, size: style.bold ? 11.5 : 10, minSize: 8, lines: 2, anchor: "middle", ...style });
}

function beside(blocks: Block[], layout: Layout, align: "top" | "bottom" = "top"): Block {
  const { box, gutter, width } = layout;
  const left = gutter + LABEL_GAP;
  const height = Math.max(0, ...blocks.map((block) => block.height));
  const placed: Markup[] = blocks.map((block, index) => {
    return place(block, left + index * (box.width + GAP), align === "bottom" ? height - block.height : 0);
  });
  return { body: markup`${placed}`, width, height };
}

function cellsOf({ rows }: Pick<FigureInput, "rows">): FigureCell[] {
  return rows.flatMap(({ cells }) => cells.filter((cell) => cell !== null));
}

function checkFigure({ title, columns, rows }: FigureInput): void {
  if (columns.length === 0 || rows.length === 0) {
    const got = `${counted(columns.length, "column")} and ${counted(rows.length, "row")}`;
    throw new BatchCamError("E_ARGUMENT", `camFigure: at least one column and one row are needed, got ${got}`);
  }
  if (title.trim() === "") throw new BatchCamError("E_ARGUMENT", "camFigure: title must not be empty");
  rows.forEach((row, index) => {
    expectCount(`rows[${index}].cells`, row.cells.length, columns.length);
    if (row.captions) expectCount(`rows[${index}].captions`, row.captions.length, columns.length);
    row.cells.forEach((cell, column) => {
      if (!cell) return;
      const check = cell.kind === "map" ? expectMap : channelsOf;
      check(cell, `camFigure: rows[${index}].cells[${column}]`);
    });
  });
}

function expectCount(argument: string, got: number, expected: number): void {
  if (got === expected) return;
  throw new BatchCamError(
    "E_SHAPE",
    `camFigure: ${argument} must hold ${counted(expected, "entry")}, one per column, got ${got}; use null for a class without a sample`,
  );
}
