import type { Split } from "./split.ts";
import type { SplitName } from "./split-names.ts";

type NamedSplit = Pick<Split, "paths" | "hashes">;

/**
 * A warning, one line at most, of images that are in a split that a model is judged by and also, under another name, in one that it is
 * trained or chosen by: what it learned by heart passes for what it can do.
 *
 * @param what names the data
 */
export function sharedContents(splits: Readonly<Partial<Record<SplitName, NamedSplit>>>, what: string): string[] {
  const known = new Map<string, string>();
  const found: string[] = [];
  let example = "";
  for (const name of ["train", "val", "test"] as const) {
    const { paths = [], hashes = [] } = splits[name] ?? {};
    const shared = [...hashes.entries()].filter(([, hash]) => known.has(hash));
    const [first] = shared;
    if (first !== undefined) {
      const [place, hash] = first;
      example ||= `${paths[place]} is the same picture as ${known.get(hash)}`;
      found.push(`${shared.length} of ${name}`);
    }
    for (const [place, hash] of hashes.entries()) if (!known.has(hash)) known.set(hash, paths[place] ?? name);
  }
  if (found.length === 0) return [];
  const where = "in a split that the model is trained or chosen by";
  return [`${what}: images are also ${where}: ${found.join(", ")} (${example}); remove them from one of the splits`];
}
