import { closest, distance } from "fastest-levenshtein";
import { expectFunction, expectString, wrongArgument } from "../arguments.ts";

/** Spelling without case and separators, so that `batch-size`, `batch_size` and `batchSize` are one name. */
const bare = (name: string): string => name.replace(/[-_]/g, "").toLowerCase();

/** The known name a misspelt one most likely meant, or undefined when none is near (more than a third of the letters differ). */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  expectString("nearestName: name", name);
  if (!Array.isArray(known)) throw wrongArgument("nearestName: known", "an array of names", known);
  for (const candidate of known) expectString("nearestName: a known name", candidate);
  if (known.length === 0) return undefined;
  const wanted = bare(name);
  const best = closest(wanted, known.map(bare));
  const letters = Math.max(wanted.length, best.length);
  const allowed = letters < 4 ? 1 : Math.max(2, Math.floor(letters / 3));
  return distance(wanted, best) <= allowed ? known.find((candidate) => bare(candidate) === best) : undefined;
}

/** ` (did you mean "x"?)`, or nothing when no known name is near. */
export function hint(name: string, known: readonly string[], show = (match: string) => `"${match}"`): string {
  expectFunction("hint: show", show);
  const match = nearestName(name, known);
  return match === undefined ? "" : ` (did you mean ${show(match)}?)`;
}
