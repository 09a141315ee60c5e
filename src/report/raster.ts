import { Resvg } from "@resvg/resvg-js";
import { FONT_FILES } from "./font.ts";

/** Above this many pixels a figure is drawn at a lower zoom rather than filling the memory. */
const MAX_PIXELS = 40_000_000;

/** Draws an SVG of the given size as PNG, twice as large for sharp print, with the bundled fonts only. */
export function rasterize(svg: string, { width, height }: { width: number; height: number }): Uint8Array {
  const zoom = Math.min(2, Math.sqrt(MAX_PIXELS / (width * height)));
  const drawing = new Resvg(svg, {
    background: "#ffffff",
    fitTo: { mode: "zoom", value: zoom },
    font: { loadSystemFonts: false, fontFiles: Object.values(FONT_FILES), defaultFontFamily: "DejaVu Sans" },
    imageRendering: 1, // resvg does not know `pixelated`, which browsers want; this is its own word for it
    logLevel: "off",
  });
  return new Uint8Array(drawing.render().asPng());
}
