import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { BatchCamError } from "../../errors.ts";
import { camFigure, type FigureInput } from "./cam-figure.ts";
import type { FigureCell } from "./cell.ts";

const size = { height: 28, width: 28 };

/** A blurred bar, which resembles a digit one. */
function blob(shift = 0): Float32Array {
  return Float32Array.from({ length: 784 }, (_, index) => Math.exp(-(((index % 28) - 14 - shift) ** 2) / 8));
}

function cells(count: number, kind: FigureCell["kind"]): FigureCell[] {
  return Array.from({ length: count }, (_, index) => ({ pixels: blob(index % 7), ...size, kind }));
}

function input(columns: number, changes: Partial<FigureInput> = {}): FigureInput {
  return {
    title: "Maps after epoch 2",
    columns: Array.from({ length: columns }, (_, index) => `class ${index}`),
    rows: [
      { label: "image", cells: cells(columns, "image") },
      { label: "map", cells: cells(columns, "map") },
    ],
    ...changes,
  };
}

function attribute(svg: string, name: string): number {
  return Number(new RegExp(`<svg[^>]* ${name}="(\\d+)"`).exec(svg)?.[1]);
}

function inked(png: PNG, column: number): boolean {
  return Array.from({ length: png.height }, (_, row) => (row * png.width + column) * 4).some((at) => {
    return [0, 1, 2].some((channel) => png.data[at + channel] !== 255);
  });
}

describe("camFigure", () => {
  it.each([1, 2, 10, 13, 25])("draws %i classes as a PNG twice the size of its SVG, with clean margins", (columns) => {
    const { svg, png } = camFigure(input(columns));
    const decoded = PNG.sync.read(Buffer.from(png));
    expect([decoded.width, decoded.height]).toEqual([2 * attribute(svg, "width"), 2 * attribute(svg, "height")]);
    for (const column of [0, 20, decoded.width - 21, decoded.width - 1]) expect(inked(decoded, column)).toBe(false);
  });

  it("has one picture per cell and the colour scale, enlarged without smoothing", () => {
    const { svg } = camFigure(input(3));
    expect(svg.match(/data:image\/png;base64,/g)).toHaveLength(7);
    expect(svg.match(/image-rendering:pixelated/g)).toHaveLength(6);
  });

  it("draws the pixels of an image as squares of one colour", () => {
    const pixels = new Float32Array(784);
    pixels[14 * 28 + 14] = 1;
    const one = camFigure(input(1, { rows: [{ label: "image", cells: [{ pixels, ...size, kind: "image" }] }] }));
    const decoded = PNG.sync.read(Buffer.from(one.png));
    const greys = new Set<number>();
    const place = /<g transform="translate\(([\d.]+) 0\)"><image/.exec(one.svg);
    const left = 2 * (24 + Number(place?.[1]));
    for (let row = 0; row < decoded.height; row++) {
      for (let column = left + 4; column < left + 160; column++) {
        const at = (row * decoded.width + column) * 4;
        if (decoded.data[at] === decoded.data[at + 1]) greys.add(decoded.data[at] ?? 0);
      }
    }
    expect(greys.has(0) && greys.has(255)).toBe(true);
    const bright = decoded.data.filter((value, index) => index % 4 === 0 && value === 255).length;
    expect(bright).toBeGreaterThan(36);
  });

  it("needs no text that the bundled fonts cannot draw: words leave ink", () => {
    const quiet = camFigure(input(2, { title: "." }));
    const loud = camFigure(input(2, { title: "WWWWWWWWWWWW" }));
    const ink = ({ png }: { png: Uint8Array }) => {
      return PNG.sync.read(Buffer.from(png)).data.filter((value, index) => index % 4 === 0 && value < 128).length;
    };
    expect(ink(loud)).toBeGreaterThan(ink(quiet) + 500);
  });

  it("says only what it shows: scale with maps, marks with marked cells", () => {
    const images = input(2, { rows: [{ label: "image", cells: cells(2, "image") }] });
    expect(camFigure(images).svg).not.toContain("map value");
    const plain = camFigure(input(2)).svg;
    expect(plain).toContain("map value");
    expect(plain).not.toContain("wrong prediction");
    expect(plain).not.toContain("dead map");
  });

  it("shows the scale of the colours that its maps have, overlays too", () => {
    const bar = (svg: string) => /preserveAspectRatio="none" href="([^"]+)"/.exec(svg)?.[1];
    const drawn = (cell: Partial<FigureCell>) => {
      const [first] = cells(1, "map") as [FigureCell];
      return bar(camFigure(input(1, { rows: [{ label: "map", cells: [{ ...first, ...cell }] }] })).svg);
    };
    const scales = [drawn({}), drawn({ colormap: "viridis" }), drawn({ kind: "overlay", colormap: "jet" })];
    expect(new Set(scales).size).toBe(3);
    expect(drawn({ kind: "overlay" })).toBe(scales[0]);
    expect(drawn({ kind: "image" })).toBeUndefined();
  });

  it("crosses out dead maps, found or stated", () => {
    const zeros: FigureCell = { pixels: new Float32Array(784), ...size, kind: "map" };
    const row = (cell: FigureCell) => camFigure(input(1, { rows: [{ label: "map", cells: [cell] }] })).svg;
    expect(row(zeros)).toContain(">dead</text>");
    expect(row({ ...zeros, dead: false })).not.toContain(">dead</text>");
    expect(row({ ...zeros, pixels: blob(), dead: true })).toContain(">dead</text>");
    expect(row({ ...zeros, kind: "image" })).not.toContain(">dead</text>");
  });

  it("marks wrong predictions and writes captions under their cells", () => {
    const [first, second] = cells(2, "map") as [FigureCell, FigureCell];
    const rows = [{ label: "map", cells: [first, { ...second, wrong: true }], captions: ["", "read as 7"] }];
    const { svg } = camFigure(input(2, { rows }));
    expect(svg).toContain("read as 7");
    expect(svg).toContain("wrong prediction");
  });

  it("keeps a place for a class without a sample", () => {
    const rows = [{ label: "map", cells: [...cells(1, "map"), null] }];
    expect(camFigure(input(2, { rows })).svg).toContain(">–</text>");
  });

  it("draws colour images, non-square ones, and ones that must be reduced", () => {
    const row = (cell: FigureCell) => camFigure(input(1, { rows: [{ label: "image", cells: [cell] }] }));
    expect(row({ pixels: new Float32Array(3 * 12), height: 3, width: 4, kind: "image" }).png.length).toBeGreaterThan(0);
    const { svg } = row({ pixels: new Float32Array(500 * 250), height: 500, width: 250, kind: "image" });
    expect(svg).toContain('<image width="56" height="112"');
    expect(svg).toContain("image-rendering:optimizeQuality");
  });

  it("survives pixels that are not finite", () => {
    const pixels = new Float32Array(784).fill(Number.NaN);
    expect(() =>
      camFigure(input(1, { rows: [{ label: "map", cells: [{ pixels, ...size, kind: "map" }] }] })),
    ).not.toThrow();
  });

  it("escapes every text, and the result is well-formed", () => {
    const hostile = `</text><script>alert("1")</script>\u0000&`;
    const rows = [{ label: hostile, cells: cells(1, "map"), captions: [hostile] }];
    const { svg, png } = camFigure({ title: hostile, subtitle: hostile, columns: [hostile], rows, footer: hostile });
    expect(svg).not.toContain("<script");
    expect(png.length).toBeGreaterThan(0);
  });

  it("gives the same bytes for the same input", () => {
    const [first, second] = [camFigure(input(3)), camFigure(input(3))];
    expect(first.svg).toBe(second.svg);
    expect(Buffer.from(first.png).equals(Buffer.from(second.png))).toBe(true);
  });
});

describe("camFigure refuses", () => {
  const one = cells(1, "map")[0] as FigureCell;
  const withRow = (cell: FigureCell) => input(1, { rows: [{ label: "map", cells: [cell] }] });

  it.each<[string, FigureInput, string, string]>([
    ["no columns", input(0), "E_ARGUMENT", "at least one column and one row are needed, got 0 columns and 2 rows"],
    ["no rows", input(2, { rows: [] }), "E_ARGUMENT", "got 2 columns and 0 rows"],
    ["an empty title", input(2, { title: " " }), "E_ARGUMENT", "title must not be empty"],
    [
      "a row that is too short",
      input(2, { rows: [{ label: "map", cells: cells(1, "map") }] }),
      "E_SHAPE",
      "rows[0].cells must hold 2 entries, one per column, got 1",
    ],
    [
      "too many captions",
      input(1, { rows: [{ label: "map", cells: cells(1, "map"), captions: ["a", "b"] }] }),
      "E_SHAPE",
      "rows[0].captions must hold 1 entry",
    ],
    ["pixels that do not fill a cell", withRow({ ...one, width: 27 }), "E_SHAPE", "rows[0].cells[0]: a 28x27 picture"],
    ["a map in colour", withRow({ ...one, pixels: new Float32Array(3 * 784) }), "E_SHAPE", "map must hold 784 values"],
    ["a negative size", withRow({ ...one, height: -28 }), "E_ARGUMENT", "height must be a positive whole number"],
  ])("%s", (_, figure, code, message) => {
    try {
      camFigure(figure);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(BatchCamError);
      expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
      expect((error as Error).message).toMatch(/^camFigure: /);
    }
  });
});
