import { Resvg } from "@resvg/resvg-js";
import { FONT_FILES } from "./font.ts";

/** A figure of more pixels is drawn at a lower zoom, so that it does not fill the memory. */
const MAX_PIXELS = 40_000_000;

interface Size {
  width: number;
  height: number;
}

/** Draws an SVG of the given size as a PNG of twice the size, for sharp print. Only the bundled fonts are used. */
export function rasterize(svg: string, { width, height }: Size): Uint8Array {
  return new Uint8Array(render(svg, Math.min(2, Math.sqrt(MAX_PIXELS / (width * height)))).asPng());
}

/** The pixels of an SVG at its own size, with red, green, blue and alpha interleaved. */
export function rasterPixels(svg: string): Size & { rgba: Uint8Array } {
  const { pixels, width, height } = render(svg, 1);
  return { rgba: pixels, width, height };
}

function render(svg: string, zoom: number) {
  const drawing = new Resvg(svg, {
    background: "#ffffff",
    fitTo: { mode: "zoom", value: zoom },
    font: { loadSystemFonts: false, fontFiles: Object.values(FONT_FILES), defaultFontFamily: "DejaVu Sans" },
    imageRendering: 1, // draws enlarged pixels as squares, because resvg ignores the style `pixelated` that is for browsers
    logLevel: "off",
  });
  return drawing.render();
}
