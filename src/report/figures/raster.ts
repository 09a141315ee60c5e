import { Resvg } from "@resvg/resvg-js";
import { FONT_FILES } from "./font.ts";

/** Above this many pixels a figure is drawn at a lower zoom rather than filling the memory. */
const MAX_PIXELS = 40_000_000;

interface Size {
  width: number;
  height: number;
}

/** Draws an SVG of the given size as PNG, twice as large for sharp print, with the bundled fonts only. */
export function rasterize(svg: string, { width, height }: Size): Uint8Array {
  return new Uint8Array(render(svg, Math.min(2, Math.sqrt(MAX_PIXELS / (width * height)))).asPng());
}

/** The pixels of an SVG at its own size: red, green, blue and alpha side by side. */
export function rasterPixels(svg: string): Size & { rgba: Uint8Array } {
  const { pixels, width, height } = render(svg, 1);
  return { rgba: pixels, width, height };
}

function render(svg: string, zoom: number) {
  const drawing = new Resvg(svg, {
    background: "#ffffff",
    fitTo: { mode: "zoom", value: zoom },
    font: { loadSystemFonts: false, fontFiles: Object.values(FONT_FILES), defaultFontFamily: "DejaVu Sans" },
    imageRendering: 1, // resvg does not know `pixelated`, which browsers want; this is its own word for it
    logLevel: "off",
  });
  return drawing.render();
}
