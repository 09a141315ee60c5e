import { wordFor } from "../../counted.ts";

/**
 * Two names that are one class to some file systems and programs: that differ by case alone, or that are the same text in two Unicode
 * forms, as macOS and Linux write "é". Data sets refuse them: on another machine they would be one class.
 *
 * @returns what is wrong with the first such pair; null if there is none
 */
export function confusable(names: Iterable<string>): string | null {
  const seen = new Map<string, string>();
  for (const name of names) {
    const key = name.normalize("NFC").toLowerCase();
    const twin = seen.get(key);
    if (twin !== undefined)
      return twin.normalize("NFC") === name.normalize("NFC")
        ? `has the class "${name.normalize("NFC")}" twice, in two Unicode forms`
        : `classes "${twin}" and "${name}" differ by case alone`;
    seen.set(key, name);
  }
  return null;
}

/** By the codes of their characters: the same order on every machine. */
export const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const SHOWN = 5;

/** Classes by their names, the first of many; with a number behind each name if there are `counts`. */
export function classList(names: readonly string[], counts?: readonly number[]): string {
  const shown = names.slice(0, SHOWN).map((name, i) => `"${name}"${counts === undefined ? "" : ` (${counts[i]})`}`);
  const rest = names.length - shown.length;
  const list = rest > 0 ? `${shown.join(", ")} and ${rest} more` : shown.join(", ");
  return `${wordFor(names.length, "class")} ${list}`;
}
