import { wordFor } from "../../counted.ts";

/**
 * Finds two class names that some file systems and programs treat as the same: names that differ only in case, or the
 * same text in two Unicode forms, as macOS and Linux write "é". Data sets with such names are refused, because on
 * another machine the two classes could become one.
 *
 * @returns a description of the first such pair, or null
 */
export function confusable(names: Iterable<string>): string | null {
  const seen = new Map<string, string>();
  for (const name of names) {
    const key = name.normalize("NFC").toLowerCase();
    const twin = seen.get(key);
    if (twin !== undefined)
      return twin.normalize("NFC") === name.normalize("NFC")
        ? `has the class "${name.normalize("NFC")}" twice, in two Unicode forms`
        : `classes "${twin}" and "${name}" differ only in case`;
    seen.set(key, name);
  }
  return null;
}

/** Compares two names by their character codes, which gives the same order on every machine. */
export const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const SHOWN = 5;

/** Names classes in a clause, the first five of many: `classes "a" (3), "b" (2)`. The numbers in brackets are `counts`. */
export function classList(names: readonly string[], counts?: readonly number[]): string {
  const shown = names.slice(0, SHOWN).map((name, i) => `"${name}"${counts === undefined ? "" : ` (${counts[i]})`}`);
  const rest = names.length - shown.length;
  const list = rest > 0 ? `${shown.join(", ")} and ${rest} more` : shown.join(", ");
  return `${wordFor(names.length, "class")} ${list}`;
}
