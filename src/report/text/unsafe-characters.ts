/**
 * Characters that must not be printed on a terminal or a page: control characters, which a terminal executes, line separators, and marks
 * that change the direction of text. Names of files and classes can contain them. Tabs and line feeds are not on the list.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
export const UNSAFE_CHARACTERS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The text on one line: white space becomes single spaces, and unsafe characters are removed. */
export function inOneLine(text: string): string {
  return text.replace(/\s/g, " ").replace(UNSAFE_CHARACTERS, "").replace(/ +/g, " ");
}
