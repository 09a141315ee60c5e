import { wordFor } from "../counted.ts";

const SHOWN = 5;

/** Classes by their names, the first of many. */
export function classList(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).map((name) => `"${name}"`);
  const rest = names.length - shown.length;
  const list = rest > 0 ? `${shown.join(", ")} and ${rest} more` : shown.join(", ");
  return `${wordFor(names.length, "class")} ${list}`;
}
