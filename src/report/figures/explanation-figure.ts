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

/** An image with its prediction and its maps. */
export interface ExplainedImage extends Picture, Verdict {
  /** One map for each method, `(H, W)` in [0, 1], of the image's size; null if a method has none. */
  maps: (Float32Array | null)[];
}

/** The input of `explanationFigure`. */
export interface ExplanationInput extends PageText, MapStyle {
  /** Names above the columns. */
  methods: string[];
  /** The style of each column, if they differ. */
  styles?: NonNullable<MapStyle["style"]>[];
  images: ExplainedImage[];
}

const GAP = 6;
const ROW_GAP = 14;
const PANEL_GAP = 30;
/** The largest content of a page, without margins and title. A single row may be wider or higher. */
const PAGE = { width: 1480, height: 1560 };
/** The ratio of width to height that a page should have. */
const ASPECT = 1.4;
const SIDE = { least: 72, most: 160, many: 112 };
/** With at least this many images, each is drawn smaller. */
const MANY = 9;

/**
 * A table of explanations. Each row begins with an image, with its name, prediction and confidence below, and has a column for each
 * method with its map over the image. A wrong prediction is marked if the label is known, and a dead map is crossed out. A colour scale
 * ends the page. A wide page has several images in a row, and what does not fit on one page continues on the next.
 *
 * @returns one PNG for each page
 * @throws E_ARGUMENT if images or methods are missing, or a number is out of its range; E_SHAPE if an image does not have a map (or null)
 *   for each method, or a map does not have its image's size
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

/** The side of a square image: large if the page has room, small if there are many images. */
function sideOf({ methods, images }: ExplanationInput): number {
  const fair = Math.floor(PAGE.width / (methods.length + 1)) - GAP;
  return Math.max(SIDE.least, Math.min(fair, images.length >= MANY ? SIDE.many : SIDE.most));
}

/**
 * The box of an image. The PNG has twice as many pixels, so that an enlargement by half steps shows all pixels of an image in the same
 * size. A larger image is reduced.
 */
function boxFor({ height, width }: Picture, side: number): CellBox {
  const longer = Math.max(height, width);
  const scale = Math.floor((2 * side) / longer) / 2 || side / longer;
  const scaled = (length: number) => Math.max(1, Math.round(length * scale));
  return { width: scaled(width), height: scaled(height) };
}

function headerBlock(names: string[], column: number): Block {
  const texts = names.map((name) => {
    // A long name such as IntegratedGradients is broken between its words rather than anywhere.
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

/** A file name on one line. The middle of a long name is left out, because the ends distinguish files. */
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

/** Divides the panels into lines and pages. All pages have the number of panels in a line that brings them nearest to `ASPECT`. */
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

/** As few pages as possible, with the same number of lines on each unless that takes another page. */
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
