import { UNSAFE_CHARACTERS } from "../report/text/unsafe-characters.ts";
import type { CliIo, OutputStream } from "./io.ts";

/** The escape sequences that the command line itself sends to a terminal: it clears the live line and sets colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
const OWN_SEQUENCES = /(^\r\u001b\[2K|\u001b\[(?:2|22|33|39)m)/;

/** Replaces every unsafe character by U+FFFD. On a terminal, the command line's own escape sequences are kept. */
export function safeText(text: string, isTTY = false): string {
  const replaced = (part: string) => part.replace(UNSAFE_CHARACTERS, "\ufffd");
  if (!isTTY) return replaced(text);
  // With a capturing group, `split` puts the matched separators at the odd positions.
  return text
    .split(OWN_SEQUENCES)
    .map((part, index) => (index % 2 === 1 ? part : replaced(part)))
    .join("");
}

/** Replaces the line feeds and tabs that the name of a file or a class can contain. */
export const oneLine = (name: string): string => name.replace(/[\n\t]/g, "\ufffd");

/** Returns streams that pass everything through `safeText`. */
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
