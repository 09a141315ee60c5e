import { closest, distance } from "fastest-levenshtein";

/** Removes case and separators, so that `batch-size`, `batch_size` and `batchSize` are equal. */
const bare = (name: string): string => name.replace(/[-_]/g, "").toLowerCase();

/** The known names that differ least from an unknown one, nearest first. */
export function nearestNames(name: string, known: readonly string[], count: number): string[] {
  return [...known].sort((a, b) => distance(name, a) - distance(name, b)).slice(0, count);
}

/**
 * The known name that a misspelt one most likely means; undefined if more than a third of the letters differ from every
 * known name.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const wanted = bare(name);
  const best = closest(wanted, known.map(bare));
  const letters = Math.max(wanted.length, best.length);
  const allowed = letters < 4 ? 1 : Math.max(2, Math.floor(letters / 3));
  return distance(wanted, best) <= allowed ? known.find((candidate) => bare(candidate) === best) : undefined;
}
