import { PNG } from "pngjs";
import { describe, expect, it, vi } from "vitest";
import { type ExplainedImage, type ExplanationInput, explanationFigure } from "./explanation-figure.ts";

// The SVG of each page, which the figure itself does not return. Drawing all pages as PNG would take long.
const { pages } = vi.hoisted(() => ({ pages: [] as { svg: string; width: number; height: number }[] }));
vi.mock("./raster.ts", async (original) => {
  const { rasterize } = await original<typeof import("./raster.ts")>();
  return {
    rasterize: (svg: string, size: { width: number; height: number }) => {
      pages.push({ svg, ...size });
      return pages.length === 1 && svg.includes("draw me") ? rasterize(svg, size) : new Uint8Array(0);
    },
  };
});

function ramp(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => index / length);
}

function image(changes: Partial<ExplainedImage> = {}): ExplainedImage {
  const { height = 28, width = 28 } = changes;
  const pixels = ramp(height * width);
  return {
    pixels,
    height,
    width,
    name: "seven.png",
    prediction: "7",
    confidence: 0.983,
    maps: [pixels, pixels],
    ...changes,
  };
}

function draw(
  images: ExplainedImage[],
  changes: Partial<ExplanationInput> = {},
): { svgs: string[]; sizes: [number, number][] } {
  pages.length = 0;
  const pngs = explanationFigure({ title: "Explanations", methods: ["Grad-CAM", "LayerCAM"], images, ...changes });
  expect(pngs).toHaveLength(pages.length);
  return { svgs: pages.map(({ svg }) => svg), sizes: pages.map(({ width, height }) => [width, height]) };
}

const svgOf = (one: ExplainedImage, changes: Partial<ExplanationInput> = {}) => draw([one], changes).svgs.join("");
const boxes = (svg: string) =>
  [...svg.matchAll(/<image width="([\d.]+)" height="([\d.]+)" href/g)].map((match) => [
    Number(match[1]),
    Number(match[2]),
  ]);

describe("explanationFigure", () => {
  it("draws the image and a map for each method, with names over the columns", () => {
    const svg = svgOf(image());
    expect(boxes(svg)).toHaveLength(3);
    for (const word of ["image", "Grad-CAM", "LayerCAM", "seven.png", "map value"]) expect(svg).toContain(`>${word}<`);
  });

  it("gives a PNG of twice the page's size, in which the image's pixels have their values", () => {
    pages.length = 0;
    const [file = new Uint8Array(0)] = explanationFigure({ title: "draw me", methods: ["a", "b"], images: [image()] });
    const png = PNG.sync.read(Buffer.from(file));
    expect([png.width, png.height]).toEqual([2 * (pages[0]?.width ?? 0), 2 * (pages[0]?.height ?? 0)]);
    const greys = new Set([...ramp(784)].map((value) => Math.round(value * 255)));
    const seen = new Set(
      png.data.filter((value, at) => at % 4 === 0 && value === png.data[at + 1] && value === png.data[at + 2]),
    );
    for (const grey of greys) expect(seen).toContain(grey);
  });

  it("writes prediction and confidence under the image", () => {
    const svg = svgOf(image());
    expect(svg).toContain(">7 \u00a098.3\u00a0%<");
    expect(svg).not.toContain("wrong prediction");
  });

  it("marks a prediction that is not the label, and says what it is", () => {
    const svg = svgOf(image({ label: "1" }));
    expect(svg).toContain(">is 1<");
    expect(svg).toContain("wrong prediction");
    expect(svgOf(image({ label: "7" }))).not.toContain("wrong prediction");
  });

  it("says which class the maps are of where it is not the prediction", () => {
    expect(svgOf(image({ target: "3" }))).toContain(">maps of 3<");
    expect(svgOf(image({ target: "7" }))).not.toContain("maps of");
  });

  it("keeps the confidence of a class with a long name", () => {
    const svg = svgOf(image({ prediction: "a very long class name ".repeat(8) }));
    expect(svg).toContain(">98.3\u00a0%<");
    expect(svg).toContain("…");
  });

  it("leaves the middle out of a long file name", () => {
    expect(svgOf(image({ name: `IMG_2024_${"x".repeat(80)}_end.jpeg` }))).toMatch(/>IMG_2024_x*…x*_end\.jpeg</);
  });

  it("needs nothing but pixels and maps", () => {
    const pixels = ramp(784);
    expect(boxes(svgOf({ pixels, height: 28, width: 28, maps: [pixels, pixels] }))).toHaveLength(3);
  });

  it("crosses out dead maps and leaves a dash where there is none", () => {
    const svg = svgOf(image({ maps: [new Float32Array(784), null] }));
    expect(svg).toContain(">dead</text>");
    expect(svg).toContain(">–</text>");
    expect(svgOf(image())).not.toContain(">dead</text>");
  });

  it("finds a map alive whose only spot vanishes in a smaller drawing", () => {
    const pixels = ramp(900 * 900);
    const spot = new Float32Array(900 * 900);
    spot[5] = 1e-3;
    expect(svgOf(image({ pixels, height: 900, width: 900, maps: [spot, spot] }))).not.toContain(">dead</text>");
  });

  it.each([
    [28, 28, [154, 154]], // enlarged 5.5 times, which is 11 times in the PNG
    [64, 64, [160, 160]], // enlarged 2.5 times, which is 5 times in the PNG
    [224, 224, [112, 112]], // not enlarged in the PNG
    [360, 640, [160, 90]],
    [900, 300, [53, 160]],
  ])("draws an image of %i x %i with pixels of one size", (height, width, box) => {
    const pixels = ramp(height * width);
    const all = boxes(svgOf(image({ pixels, height, width, maps: [pixels, pixels] })));
    expect(all).toEqual([box, box, box]);
  });

  it("draws colour images and mixed sizes in one figure", () => {
    const wide = image({ height: 20, width: 50, pixels: ramp(3000), maps: [ramp(1000), ramp(1000)] });
    const { svgs } = draw([image(), wide]);
    expect(boxes(svgs[0] ?? "")).toHaveLength(6);
  });

  it("draws the styles in different colours, the map style without the image", () => {
    const svgs = [{}, { style: "classic" }, { style: "map" }, { colormap: "viridis" }, { strength: 0.2 }] as const;
    expect(new Set(svgs.map((changes) => svgOf(image(), changes))).size).toBe(svgs.length);
    const dark = svgOf(image({ pixels: new Float32Array(784) }), { style: "map" });
    expect(dark.split("href=")[2]).toBe(svgOf(image(), { style: "map" }).split("href=")[2]);
  });

  it("puts several images next to each other, and many on several pages of like size", () => {
    const { svgs, sizes } = draw(Array.from({ length: 100 }, () => image()));
    expect(svgs.length).toBeGreaterThan(1);
    expect(svgs.flatMap(boxes)).toHaveLength(300);
    expect(svgs[0]).toContain(`Explanations · 1 of ${svgs.length}`);
    for (const [width, height] of sizes) {
      expect(width).toBeLessThanOrEqual(1600);
      expect(height).toBeLessThanOrEqual(1800);
    }
    const counts = svgs.map((svg) => boxes(svg).length / 3);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(Math.max(...counts) / 2);
  });

  it("stays one page for 40 images and one method", () => {
    const { svgs, sizes } = draw(
      Array.from({ length: 40 }, () => image({ maps: [ramp(784)] })),
      { methods: ["Grad-CAM"] },
    );
    expect(svgs).toHaveLength(1);
    const [width = 0, height = 1] = sizes[0] ?? [];
    expect(width / height).toBeGreaterThan(0.7);
    expect(width / height).toBeLessThan(2);
  });

  it("keeps sixteen methods in one row", () => {
    const methods = Array.from({ length: 16 }, (_, index) => `IntegratedMethod${index}`);
    const svg = svgOf(image({ maps: methods.map(() => ramp(784)) }), { methods });
    expect(boxes(svg)).toHaveLength(17);
    expect(svg).toContain(">Integrated</tspan>");
  });

  it("escapes every text", () => {
    const hostile = `</text><script>"1"`;
    const texts = { name: hostile, prediction: hostile, label: "x", target: hostile };
    expect(svgOf(image(texts), { title: hostile, subtitle: hostile, footer: hostile })).not.toContain("<script");
  });

  it("survives pixels that are not finite", () => {
    const pixels = new Float32Array(784).fill(Number.NaN);
    expect(() => draw([image({ pixels, maps: [pixels, pixels] })])).not.toThrow();
  });
});

describe("explanationFigure refuses", () => {
  it.each<[string, Partial<ExplanationInput>, string, string]>([
    [
      "no images",
      { images: [] },
      "E_ARGUMENT",
      "at least one image and one method are needed, got 0 images and 2 methods",
    ],
    ["no methods", { methods: [] }, "E_ARGUMENT", "got 1 image and 0 methods"],
    ["an empty title", { title: " " }, "E_ARGUMENT", "title must not be empty"],
    [
      "too few maps",
      { images: [image({ maps: [] })] },
      "E_SHAPE",
      "images[0].maps must hold 2 maps, one for each method, got 0",
    ],
    [
      "a map of another size",
      { images: [image({ maps: [ramp(784), ramp(49)] })] },
      "E_SHAPE",
      "images[0].maps[1]: a 28x28 picture",
    ],
    [
      "pixels that do not fill the image",
      { images: [image({ pixels: ramp(7) })] },
      "E_SHAPE",
      "images[0]: a 28x28 picture",
    ],
    [
      "a confidence in per cent",
      { images: [image({ confidence: 98 })] },
      "E_ARGUMENT",
      "confidence must be a number from 0 to 1, got 98",
    ],
    ["a strength past 1", { strength: 2 }, "E_ARGUMENT", "strength must be a number from 0 to 1, got 2"],
  ])("%s", (_, changes, code, message) => {
    const input = { title: "t", methods: ["a", "b"], images: [image()], ...changes };
    expect(() => explanationFigure(input)).toThrow(
      expect.objectContaining({ name: "BatchCamError", code, message: expect.stringContaining(message) }),
    );
  });
});
