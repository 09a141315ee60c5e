import { wordFor } from "../counted.ts";

const SHOWN = 5;

/** Classes by their names, the first of many; with a number behind each name if there are `counts`. */
export function classList(names: readonly string[], counts?: readonly number[]): string {
  const shown = names.slice(0, SHOWN).map((name, i) => `"${name}"${counts === undefined ? "" : ` (${counts[i]})`}`);
  const rest = names.length - shown.length;
  const list = rest > 0 ? `${shown.join(", ")} and ${rest} more` : shown.join(", ");
  return `${wordFor(names.length, "class")} ${list}`;
}
