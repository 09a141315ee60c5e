import { type TextStyle, textWidth } from "./font.ts";

/** The box that a text must fit. */
export interface TextRoom extends TextStyle {
  width: number;
  lines: number;
  /** The smallest size before the text is cut. */
  minSize: number;
}

/** A text that fits its box: the lines and their size. If `cut` is true, an ellipsis replaces the rest. */
export interface FittedText {
  lines: string[];
  size: number;
  cut: boolean;
}

// All white space except the no-break spaces.
const BREAKS = /[^\S\u00a0\u202f]+/;

/** Fits a text into its box: it is wrapped at spaces, then made smaller, then broken within long words, and cut with an ellipsis only as the last resort. */
export function fitText(text: string, room: TextRoom): FittedText {
  const words = text.split(BREAKS).filter((word) => word !== "");
  for (let size = room.size; size >= room.minSize; size -= 0.5) {
    const lines = wrap(words, { ...room, size });
    const fits = lines.every((line) => textWidth(line, { ...room, size }) <= room.width);
    if (fits && lines.length <= room.lines) return { lines, size, cut: false };
  }
  const smallest = { ...room, size: room.minSize };
  const pieces = words.flatMap((word) => breakWord(word, smallest));
  const lines = wrap(pieces, smallest);
  const cut = lines.length > room.lines;
  if (cut) lines.splice(room.lines - 1, Infinity, shorten(lines.slice(room.lines - 1).join(" "), smallest));
  return { lines, size: room.minSize, cut };
}

/** The width of a text that is fitted into its box. */
export function fittedWidth(text: string, room: TextRoom): number {
  const { lines, size } = fitText(text, room);
  return Math.max(0, ...lines.map((line) => textWidth(line, { ...room, size })));
}

function wrap(words: string[], room: TextRoom): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const longer = lines.length > 0 ? `${lines.at(-1)} ${word}` : word;
    if (lines.length > 0 && textWidth(longer, room) <= room.width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function breakWord(word: string, room: TextRoom): string[] {
  const pieces = [""];
  for (const character of word) {
    const last = pieces.at(-1) ?? "";
    if (last !== "" && textWidth(last + character, room) > room.width) pieces.push(character);
    else pieces[pieces.length - 1] = last + character;
  }
  return pieces;
}

function shorten(line: string, room: TextRoom): string {
  const characters = [...line];
  while (characters.length > 1 && textWidth(`${characters.join("")}…`, room) > room.width) characters.pop();
  return `${characters.join("").trimEnd()}…`;
}
