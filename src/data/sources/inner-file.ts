import { readdir, realpath } from "node:fs/promises";
import { isAbsolute, join, normalize, relative, sep } from "node:path";

/** A file that a CSV file names: its path, and its real path with all links resolved; null if the file does not exist. */
export interface InnerFile {
  readonly path: string;
  readonly target: string | null;
}

/** Whether `to` is outside the folder `from`. */
export function leaves(from: string, to: string): boolean {
  const way = relative(from, to);
  return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
}

/**
 * Makes a function that finds the files that a CSV file in `folder` names. A name may be relative to the folder, or
 * absolute and inside it. It may use slashes or the backslashes of Windows, and a different Unicode form than the file
 * system.
 *
 * @param followLinks whether links may leave the folder
 * @returns a function that returns the file, or a string that describes the problem with the name
 */
export async function innerFiles(
  folder: string,
  { followLinks }: { followLinks: boolean },
): Promise<(name: string) => Promise<InnerFile | string>> {
  const root = await realpath(folder);
  const listings = new Map<string, Promise<ReadonlyMap<string, string>>>();
  return async (name) => {
    if (/^[a-zA-Z]:[\\/]/.test(name) && sep === "/") return `path "${name}" is an absolute Windows path`;
    for (const spelling of spellings(name)) {
      const own = isAbsolute(spelling) ? relativeTo([folder, root], spelling) : spelling;
      if (own === null || leaves(folder, join(folder, own))) return `path "${name}" leaves the folder`;
      const found = await existing(folder, own, listings);
      if (found === null) continue;
      if (!followLinks && leaves(root, found.target))
        return `path "${name}" is a link that leaves the folder (--follow-links follows it)`;
      return found;
    }
    return { path: join(folder, spellings(name).at(-1) as string), target: null };
  };
}

/**
 * The spellings to try: the name as it is, and then with its backslashes replaced by slashes. The name itself comes
 * first because on Linux a file name may contain backslashes.
 */
const spellings = (name: string): string[] => (name.includes("\\") ? [name, name.replaceAll("\\", "/")] : [name]);

function relativeTo(roots: readonly string[], path: string): string | null {
  const root = roots.find((own) => !leaves(own, path));
  return root === undefined ? null : relative(root, path);
}

/** Finds a file below a folder, matching each part of its path in either Unicode form. Returns null if it does not exist. */
async function existing(
  folder: string,
  name: string,
  listings: Map<string, Promise<ReadonlyMap<string, string>>>,
): Promise<{ path: string; target: string } | null> {
  const path = join(folder, name);
  const target = await realpath(path).catch(() => null);
  if (target !== null) return { path, target };
  let found = folder;
  for (const part of normalize(name).split(sep)) {
    const listing = listings.get(found) ?? listingOf(found);
    listings.set(found, listing);
    const own = (await listing).get(part.normalize("NFC"));
    if (own === undefined) return null;
    found = join(found, own);
  }
  const other = await realpath(found).catch(() => null);
  return other === null ? null : { path: found, target: other };
}

async function listingOf(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = await readdir(folder).catch(() => [] as string[]);
  return new Map(names.map((name) => [name.normalize("NFC"), name]));
}
