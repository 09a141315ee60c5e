import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

export interface Fence {
  /** "README.md:35" */
  place: string;
  language: string;
  code: string;
  /** The declarations in the comment `<!-- context ... -->` right before the block. Readers know them from the text. */
  context: string;
}

/** The pages that users and contributors read. */
export const PAGES = [
  ...["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"],
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

export const textOf = (page: string): string => readFileSync(join(ROOT, page), "utf8");

const FENCE = /(?:<!-- context\n([\s\S]*?)-->\n+)?^```([\w-]*)\n([\s\S]*?)^```$/gm;

/** The blocks of code of a page. */
export function fencesOf(page: string, text = textOf(page)): Fence[] {
  return Array.from(text.matchAll(FENCE), ({ index, 0: whole, 1: context = "", 2: language = "", 3: code = "" }) => {
    const line = text.slice(0, index + whole.indexOf("```")).split("\n").length;
    return { place: `${page}:${line}`, language, code, context };
  });
}

/** The text in `code` marks outside of blocks. */
export const inlineCodeOf = (text: string): string[] =>
  Array.from(text.replace(FENCE, "").matchAll(/`([^`\n]+)`/g), ([, code = ""]) => code);

/** The commands of a shell block, one per line and without comments. */
export const commandsIn = (code: string): string[] =>
  code
    .replace(/\\\n/g, " ")
    .split(/\n|&&/)
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");
