import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const resolve = createRequire(import.meta.url).resolve;

/** The bundled fonts. With them, figures look the same on every machine, even one without fonts. */
export const FONT_FILES = {
  regular: resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf"),
  bold: resolve("dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf"),
} as const;

/** The style of a text. The size is in pixels. */
export interface TextStyle {
  size: number;
  bold?: boolean;
}

/** The width in pixels of a line of text in the bundled font, without kerning. */
export function textWidth(text: string, { size, bold = false }: TextStyle): number {
  const font = metrics(bold ? "bold" : "regular");
  let units = 0;
  for (const character of text) units += font.advance(character.codePointAt(0) ?? 0);
  return (units * size) / font.unitsPerEm;
}

interface FontMetrics {
  unitsPerEm: number;
  advance(codePoint: number): number;
}

const loaded = new Map<string, FontMetrics>();

function metrics(weight: keyof typeof FONT_FILES): FontMetrics {
  const known = loaded.get(weight);
  if (known) return known;
  const font = readMetrics(readFileSync(FONT_FILES[weight]));
  loaded.set(weight, font);
  return font;
}

/** Reads the advance widths of a TrueType file: tables head, hhea, hmtx and the format 4 part of cmap. */
function readMetrics(file: Buffer): FontMetrics {
  const tables = new Map<string, number>();
  for (let index = 0; index < file.readUInt16BE(4); index++) {
    const record = 12 + index * 16;
    tables.set(file.toString("latin1", record, record + 4), file.readUInt32BE(record + 8));
  }
  const at = (name: string) => tables.get(name) ?? 0;
  const longMetrics = file.readUInt16BE(at("hhea") + 34);
  const glyphOf = readCharacterMap(file, at("cmap"));
  return {
    unitsPerEm: file.readUInt16BE(at("head") + 18),
    advance: (codePoint) => file.readUInt16BE(at("hmtx") + Math.min(glyphOf(codePoint), longMetrics - 1) * 4),
  };
}

function readCharacterMap(file: Buffer, table: number): (codePoint: number) => number {
  let map = table;
  for (let index = 0; index < file.readUInt16BE(table + 2); index++) {
    const start = table + file.readUInt32BE(table + 4 + index * 8 + 4);
    if (file.readUInt16BE(start) === 4) map = start;
  }
  const width = file.readUInt16BE(map + 6); // twice the number of segments
  return (codePoint) => {
    for (let segment = 0; segment < width; segment += 2) {
      if (file.readUInt16BE(map + 14 + segment) < codePoint) continue;
      const first = file.readUInt16BE(map + 16 + width + segment);
      if (codePoint < first) return 0;
      const delta = file.readUInt16BE(map + 16 + width * 2 + segment);
      const offsetAt = map + 16 + width * 3 + segment;
      const offset = file.readUInt16BE(offsetAt);
      if (offset === 0) return (codePoint + delta) & 0xffff;
      const glyph = file.readUInt16BE(offsetAt + offset + (codePoint - first) * 2);
      return glyph === 0 ? 0 : (glyph + delta) & 0xffff;
    }
    return 0;
  };
}
