import { readdir, realpath } from "node:fs/promises";
import { isAbsolute, join, normalize, relative, sep } from "node:path";

/** A file that a manifest names: where it is, and which file that is behind all links; null for one that is not there. */
export interface InnerFile {
  readonly path: string;
  readonly target: string | null;
}

/** Whether `to` lies outside of the folder `from`. */
export function leaves(from: string, to: string): boolean {
  const way = relative(from, to);
  return way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way);
}

/**
 * Makes a function that finds the files that a manifest in `folder` names: relative to the folder, or absolute and inside of it; with
 * slashes, or with the backslashes of Windows; in the Unicode form of the file system or in the other one.
 *
 * @param followLinks whether links may lead out of the folder
 * @returns a string that says what is wrong with a name
 */
export async function innerFiles(
  folder: string,
  { followLinks }: { followLinks: boolean },
): Promise<(name: string) => Promise<InnerFile | string>> {
  const root = await realpath(folder);
  const listings = new Map<string, Promise<ReadonlyMap<string, string>>>();
  return async (name) => {
    if (/^[a-zA-Z]:[\\/]/.test(name) && sep === "/") return `path "${name}" is an absolute one of Windows`;
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

/** The name itself, and with slashes where it has backslashes: on Linux a name may hold backslashes of its own. */
const spellings = (name: string): string[] => (name.includes("\\") ? [name, name.replaceAll("\\", "/")] : [name]);

function relativeTo(roots: readonly string[], path: string): string | null {
  const root = roots.find((own) => !leaves(own, path));
  return root === undefined ? null : relative(root, path);
}

/** A file below a folder, its path part by part in the Unicode form in which the file system has it; null if it is not there. */
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
