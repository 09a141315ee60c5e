import type { CliIo, OutputStream } from "./io.ts";

/**
 * Control characters and marks that turn the direction of text: a terminal obeys them, and a file's or a class's name can hold them.
 * Tabs and line feeds are kept.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** What the command line itself sends to a terminal: clearing the live line, and its colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
const OWN_SEQUENCES = /(^\r\u001b\[2K|\u001b\[(?:2|22|33|39)m)/;

/** Text with every unsafe character replaced by U+FFFD, but for the command line's own sequences on a terminal. */
export function safeText(text: string, isTTY = false): string {
  const replaced = (part: string) => part.replace(UNSAFE, "\ufffd");
  if (!isTTY) return replaced(text);
  // A split by a group leaves what the group matched at the odd places.
  return text
    .split(OWN_SEQUENCES)
    .map((part, index) => (index % 2 === 1 ? part : replaced(part)))
    .join("");
}

/** A name within a line: without the line feeds and tabs that a file's or a class's name can hold. */
export const oneLine = (name: string): string => name.replace(/[\n\t]/g, "\ufffd");

/** The same io, whose outputs pass through `safeText`. */
export function withSafeOutput(io: CliIo): CliIo {
  return { ...io, stdout: safeStream(io.stdout), stderr: safeStream(io.stderr) };
}

function safeStream(stream: OutputStream): OutputStream {
  return {
    write: (text) => stream.write(safeText(text, stream.isTTY)),
    get isTTY() {
      return stream.isTTY;
    },
    get columns() {
      return stream.columns;
    },
    on: (event, listener) => stream.on?.(event, listener),
    off: (event, listener) => stream.off?.(event, listener),
  };
}
