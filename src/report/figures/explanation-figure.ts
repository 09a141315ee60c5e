import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { markup } from "../page/markup.ts";
import type { Picture } from "../pictures/picture.ts";
import { shrink } from "../pictures/shrink.ts";
import { type Block, INK, place, stack, textBlock } from "./block.ts";
import { type CellBox, cellBlock, type FigureCell } from "./cell.ts";
import { checkExplained, isWrong, type MapStyle, mapCell, type Verdict, verdictParts } from "./explained-image.ts";
import { figurePage, MIN_WIDTH, type PageText } from "./figure-page.ts";
import { textWidth } from "./font.ts";

/** An image, what the network says of it, and its maps. */
export interface ExplainedImage extends Picture, Verdict {
  /** One for each method, `(H, W)` in [0, 1], of the image's size; null where there is none. */
  maps: (Float32Array | null)[];
}

/** What `explanationFigure` draws. */
export interface ExplanationInput extends PageText, MapStyle {
  /** Names over the columns. */
  methods: string[];
  /** How each column is drawn, where they differ. */
  styles?: NonNullable<MapStyle["style"]>[];
  images: ExplainedImage[];
}

const GAP = 6;
const ROW_GAP = 14;
const PANEL_GAP = 30;
/** Most that a page takes, its margins and words apart; a single row may be wider or higher. */
const PAGE = { width: 1480, height: 1560 };
/** Width over height that a page comes near to. */
const ASPECT = 1.4;
const SIDE = { least: 72, most: 160, many: 112 };
/** From this many images on they are drawn smaller. */
const MANY = 9;

/**
 * A table of explanations: a row for each image, which comes first, with name, prediction and confidence under it; a column
 * for each method, its map over the image. A wrong prediction is marked where the label is known, a dead map is crossed
 * out, a colour scale ends the page. Where there is room, several images stand beside each other; what does not fit on a page
 * goes to further ones.
 *
 * @returns one PNG for each page
 * @throws E_ARGUMENT where there is no image or no method, or a number makes no sense; E_SHAPE where an image does not have a
 *   map (or null) for each method, or a map is not of its image's size
 */
export function explanationFigure(input: ExplanationInput): Uint8Array[] {
  checkInput(input);
  const side = sideOf(input);
  const panels = input.images.map((image) => panel(image, input, side));
  const columns = input.methods.length + 1;
  const column = Math.max(SIDE.least, ...panels.map(({ box }) => box.width));
  const width = columns * (column + GAP) - GAP;
  const header = headerBlock(["image", ...input.methods], column);
  const pages = paginate(
    panels.map((one) => ({ ...one, block: row(one, column) })),
    { width, header: header.height },
  );
  return pages.map(({ lines, across }, index) => {
    const blocks = [
      beside(
        Array.from({ length: across }, () => header),
        width,
      ),
      ...lines.map((line) =>
        beside(
          line.map(({ block }) => block),
          width,
        ),
      ),
    ];
    const cells = lines.flat().flatMap((one) => one.cells.filter((cell) => cell !== null));
    const title = pages.length > 1 ? `${input.title} · ${index + 1} of ${pages.length}` : input.title;
    const room = Math.max(MIN_WIDTH, across * (width + PANEL_GAP) - PANEL_GAP);
    return figurePage({ ...input, title }, [stack(blocks, ROW_GAP)], { width: room, cells }).png;
  });
}

interface Panel {
  box: CellBox;
  cells: (FigureCell | null)[];
  caption: (width: number) => Block;
}

function panel(image: ExplainedImage, input: ExplanationInput, side: number): Panel {
  const box = boxFor(image, side);
  const most = { width: 2 * box.width, height: 2 * box.height };
  const first: FigureCell = { ...shrink(image, most), kind: "image", wrong: isWrong(image) };
  const styleOf = (column: number): MapStyle =>
    ({ ...input, ...(input.styles ? { style: input.styles[column] } : {}) }) as MapStyle;
  const maps = image.maps.map((map, column) => map && mapCell(image, map, { ...styleOf(column), most }));
  return { box, cells: [first, ...maps], caption: (width) => captionBlock(image, width) };
}

/** The side that a square image gets: large where there is room, small where there are many. */
function sideOf({ methods, images }: ExplanationInput): number {
  const fair = Math.floor(PAGE.width / (methods.length + 1)) - GAP;
  return Math.max(SIDE.least, Math.min(fair, images.length >= MANY ? SIDE.many : SIDE.most));
}

/**
 * The box of an image. Its PNG is twice as large, so that half steps show every pixel of an image equally large; an image
 * of more than that is reduced.
 */
function boxFor({ height, width }: Picture, side: number): CellBox {
  const longer = Math.max(height, width);
  const scale = Math.floor((2 * side) / longer) / 2 || side / longer;
  const scaled = (length: number) => Math.max(1, Math.round(length * scale));
  return { width: scaled(width), height: scaled(height) };
}

function headerBlock(names: string[], column: number): Block {
  const texts = names.map((name) => {
    // A long name such as IntegratedGradients is broken where its words meet rather than anywhere.
    const long = textWidth(name, { size: 9.5, bold: true }) > column;
    const text = long ? name.replace(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, " ") : name;
    return textBlock(text, { width: column, size: 11.5, minSize: 8, lines: 2, anchor: "middle", bold: true });
  });
  const height = Math.max(...texts.map((text) => text.height));
  const placed = texts.map((text, index) => place(text, index * (column + GAP), height - text.height));
  return { body: markup`${placed}`, width: names.length * (column + GAP) - GAP, height };
}

function row({ box, cells, caption }: Panel, column: number): Block {
  const inset = (column - box.width) / 2;
  const placed = cells.map((cell, index) => place(cellBlock(cell, box), index * (column + GAP) + inset, 0));
  const line = { body: markup`${placed}`, width: cells.length * (column + GAP) - GAP, height: box.height };
  return stack([line, caption(column)], 4);
}

function captionBlock(image: Verdict, width: number): Block {
  const colour = isWrong(image) ? INK.warning : INK.text;
  const { named, confidence, remark } = verdictParts(image);
  const line = (text: string, style: { size: number; lines?: number; bold?: boolean; colour?: string }) =>
    textBlock(text, { width, minSize: 7.5, lines: 2, anchor: "middle", colour, ...style });
  const together = `${named} \u00a0${confidence}`;
  const fits = textWidth(together, { size: 10.5, bold: true }) <= width;
  return stack(
    [
      line(shortName(image.name ?? "", width), { size: 9.5, colour: INK.soft }),
      ...(fits ? [together] : [named, confidence]).map((text) => line(text.trim(), { size: 10.5, bold: true })),
      line(remark, { size: 9.5 }),
    ],
    2,
  );
}

/** A file name on one line, its middle left out where it is too long: the ends tell files apart. */
function shortName(name: string, width: number): string {
  const fits = (text: string) => textWidth(text, { size: 8 }) <= width;
  if (fits(name)) return name;
  const characters = [...name];
  let kept = characters.length - 1;
  const shortened = () => {
    const head = Math.floor(kept / 2);
    return `${characters.slice(0, head).join("")}…${characters.slice(characters.length - kept + head).join("")}`;
  };
  while (kept > 2 && !fits(shortened())) kept--;
  return shortened();
}

function beside(blocks: Block[], width: number): Block {
  const placed = blocks.map((block, index) => place(block, index * (width + PANEL_GAP), 0));
  const height = Math.max(...blocks.map((block) => block.height));
  return { body: markup`${placed}`, width: blocks.length * (width + PANEL_GAP) - PANEL_GAP, height };
}

interface Page<T> {
  across: number;
  lines: T[][];
}

/** Panels in lines, lines on pages: as many panels to a line as bring a page nearest to `ASPECT`, all pages alike. */
function paginate<T extends { block: Block }>(
  panels: T[],
  { width, header }: { width: number; header: number },
): Page<T>[] {
  const most = Math.max(1, Math.min(panels.length, Math.floor((PAGE.width + PANEL_GAP) / (width + PANEL_GAP))));
  const candidates = Array.from({ length: most }, (_, index) => balanced(panels, index + 1, header));
  const fewest = Math.min(...candidates.map((pages) => pages.length));
  const badness = (pages: Page<T>[]) => {
    const [{ across, lines }] = pages as [Page<T>];
    const ratio = (across * (width + PANEL_GAP)) / (header + sum(lines.map(heightOf)));
    return Math.abs(Math.log(ratio / ASPECT));
  };
  return candidates.filter((pages) => pages.length === fewest).reduce((a, b) => (badness(b) < badness(a) ? b : a));
}

/** Pages as few as they can be, with as many lines on each, where that does not need another page. */
function balanced<T extends { block: Block }>(panels: T[], across: number, header: number): Page<T>[] {
  const pages = fill(panels, { across, header });
  const even = fill(panels, { across, header, most: Math.ceil(panels.length / across / pages.length) });
  return even.length > pages.length ? pages : even;
}

interface Filling {
  across: number;
  header: number;
  /** Lines on a page. */
  most?: number;
}

function fill<T extends { block: Block }>(panels: T[], { across, header, most = Infinity }: Filling): Page<T>[] {
  const pages: Page<T>[] = [];
  let height = 0;
  for (let start = 0; start < panels.length; start += across) {
    const line = panels.slice(start, start + across);
    const full = pages.at(-1)?.lines.length === most || height + heightOf(line) > PAGE.height;
    if (pages.length === 0 || full) {
      pages.push({ across, lines: [] });
      height = header;
    }
    pages.at(-1)?.lines.push(line);
    height += heightOf(line);
  }
  return pages;
}

function heightOf(line: { block: Block }[]): number {
  return ROW_GAP + Math.max(...line.map(({ block }) => block.height));
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function checkInput({ title, methods, images }: ExplanationInput): void {
  const fail = (message: string, code: "E_ARGUMENT" | "E_SHAPE" = "E_ARGUMENT") => {
    throw new BatchCamError(code, `explanationFigure: ${message}`);
  };
  if (images.length === 0 || methods.length === 0)
    fail(
      `at least one image and one method are needed, got ${counted(images.length, "image")} and ${counted(methods.length, "method")}`,
    );
  if (title.trim() === "") fail("title must not be empty");
  images.forEach((image, index) => {
    const count = image.maps.length;
    if (count !== methods.length)
      fail(
        `images[${index}].maps must hold ${counted(methods.length, "map")}, one for each method, got ${count}; use null for none`,
        "E_SHAPE",
      );
    const maps = Object.fromEntries(image.maps.map((map, method) => [`maps[${method}]`, map]));
    checkExplained(`explanationFigure: images[${index}]`, image, maps);
  });
}
