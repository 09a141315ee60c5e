import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { counted, wordFor } from "../../counted.ts";
import { SPLIT_NAMES } from "../splits/split.ts";
import type { DataRecord } from "./data-record.ts";

/** A class or split of a run whose images now have another name. */
export interface Renaming {
  kind: "class" | "split";
  from: string;
  to: string;
  /** Number of images that the run has under the old name, and how many of them are now under the new name. */
  images: number;
  found: number;
  /** Whether the images of another class of the run are under the new name too. */
  joined: boolean;
}

/** The content hash of an image, and the class or split that it is in. */
interface Member {
  group: string;
  hash: string;
}

/**
 * Shares that the new name must hold for a renaming to be reported: `NEARLY_ALL` of the group's images that still
 * exist, and `MOST` of all its images.
 */
const NEARLY_ALL = 0.9;
const MOST = 0.5;

/**
 * Finds classes and splits that appear to have been renamed since the record of a run was made. A name counts as
 * renamed if nearly all of its images that still exist are now under one other name. Two classes that exchanged their
 * names give two renamings. Images without paths have no content hashes, so their classes are compared by number if the
 * bytes of all splits are unchanged.
 */
export function renamings(run: DataRecord, now: DataRecord): Renaming[] {
  const unnamed = Object.values(run.splits).some(({ files }) => files === null);
  if (unnamed) return byNumber(run, now);
  const leftOut = (now.leftOut ?? []).map(({ className, hash }) => ({ group: className, hash }));
  const classes = moves([...members(run, "class")], [...members(now, "class"), ...leftOut]);
  // If classes were renamed, a drawn split is drawn again and its images move. So a split counts as renamed only if no
  // other split moved to the new name.
  const splits = moves([...members(run, "split")], [...members(now, "split")]).filter(({ joined }) => !joined);
  return [
    ...classes.map((move) => ({ kind: "class" as const, ...move })),
    ...splits.map((move) => ({ kind: "split" as const, ...move })),
  ];
}

/** Describes a renaming: `the class seems to have been renamed from "cat" to "kitten": all its 24 images are under that name now`. */
export function renamingText({ kind, from, to, images, found, joined }: Renaming): string {
  const seems = joined
    ? `the ${kind} "${from}" seems to have been merged into "${to}"`
    : `the ${kind} seems to have been renamed from "${from}" to "${to}"`;
  const all = images === 1 ? "its only image" : `all its ${counted(images, "image")}`;
  const which = found === images ? all : `${found} of its ${counted(images, "image")}`;
  return `${seems}: ${which} ${wordFor(found, "is", "are")} under that name now`;
}

/**
 * The remedy for renamed classes and splits, and the consequence for a run that continues without it. Both are clauses
 * of a sentence.
 */
export function renamingRemedy(found: readonly Renaming[]): { remedy: string; otherwise: string } {
  const parts = found.map(({ kind, from, to, joined }) =>
    joined ? `take the images of "${from}" out of "${to}" again` : `rename the ${kind} "${to}" back to "${from}"`,
  );
  const otherwise = found.some(({ kind }) => kind === "class")
    ? "would leave these images out, or count them as another class"
    : "would evaluate the run on other images than before";
  return { remedy: parts.join(" and "), otherwise };
}

function* members({ splits, classNames }: DataRecord, kind: Renaming["kind"]): Generator<Member> {
  for (const split of SPLIT_NAMES)
    for (const { label, hash } of splits[split]?.files ?? [])
      yield { group: kind === "split" ? split : (classNames[label] ?? String(label)), hash };
}

type Move = Omit<Renaming, "kind">;

function moves(run: readonly Member[], now: readonly Member[]): Move[] {
  const groups = new Map<string, Set<string>>(); // by content
  for (const { group, hash } of now) groups.set(hash, (groups.get(hash) ?? new Set()).add(group));
  const hashes = new Map<string, string[]>(); // by group of the run
  for (const { group, hash } of run) {
    const own = hashes.get(group);
    if (own === undefined) hashes.set(group, [hash]);
    else own.push(hash);
  }
  const targets = Array.from(hashes, ([from, own]) => ({ from, images: own.length, ...targetOf(from, own, groups) }));
  const sources = new Map<string, number>();
  for (const { to } of targets) sources.set(to, (sources.get(to) ?? 0) + 1);
  return targets
    .filter(({ from, to }) => to !== from && to !== "")
    .map((move) => ({ ...move, joined: (sources.get(move.to) as number) > 1 }));
}

/**
 * The name that now holds nearly all images of a group. The group's own name wins a tie. The name is empty if no name
 * holds that many.
 */
function targetOf(
  from: string,
  own: readonly string[],
  groups: ReadonlyMap<string, ReadonlySet<string>>,
): { to: string; found: number } {
  const counts = new Map<string, number>();
  let present = 0;
  for (const hash of own) {
    const names = groups.get(hash);
    if (names === undefined) continue;
    present++;
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const least = Math.max(NEARLY_ALL * present, MOST * own.length, 1);
  const best = [...counts].sort(([a, n], [b, m]) => m - n || Number(b === from) - Number(a === from))[0];
  return best === undefined || best[1] < least ? { to: "", found: 0 } : { to: best[0], found: best[1] };
}

function byNumber(run: DataRecord, now: DataRecord): Renaming[] {
  const same = SPLIT_NAMES.every((name) => run.splits[name]?.digest === now.splits[name]?.digest);
  if (!same || run.classNames.length !== now.classNames.length) return [];
  return run.classNames.flatMap((from, label): Renaming[] => {
    const to = now.classNames[label] as string;
    const images = SPLIT_NAMES.reduce((sum, name) => sum + (run.splits[name]?.classCounts[label] ?? 0), 0);
    return from === to || images === 0 ? [] : [{ kind: "class", from, to, images, found: images, joined: false }];
  });
}

/** Number of folders that a message names. */
const SHOWN = 3;

/**
 * Names in a sentence the folders of a run's images that no longer exist, only the outermost of each. Returns null if
 * none is missing. This is needed because a split folder that was renamed to something other than a split's name is not
 * read any more, so the images in it cannot be found by content.
 *
 * @param root folder that the images' paths are relative to
 */
export function missingFolders({ splits }: DataRecord, root: string): string | null {
  const folders = new Set<string>();
  for (const split of Object.values(splits)) for (const { path } of split.files ?? []) folders.add(dirname(path));
  const known = new Map<string, boolean>([[".", true]]); // cached by folder, because many images share one
  const isThere = (folder: string): boolean => {
    const found = known.get(folder) ?? existsSync(join(root, folder));
    known.set(folder, found);
    return found;
  };
  const outermost = (folder: string): string => (isThere(dirname(folder)) ? folder : outermost(dirname(folder)));
  const missing = [...new Set([...folders].filter((folder) => !isThere(folder)).map(outermost))].sort();
  if (missing.length === 0) return null;
  const names = `${missing
    .slice(0, SHOWN)
    .map((folder) => `${folder}/`)
    .join(", ")}${missing.length > SHOWN ? ", ..." : ""}`;
  return missing.length === 1
    ? `images of the run were in ${names}, which does not exist now: if it was renamed, rename it back`
    : `images of the run were in ${names}, which do not exist now: if they were renamed, rename them back`;
}
