import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { dataError, type ReadContext } from "./file-bytes.ts";
import { listImages } from "./image-folder.ts";
import { type SplitName, splitNamed } from "./split-names.ts";

/** An image of a class, and the split that it belongs to where the files say so. */
export interface LabelledImage {
  readonly path: string;
  /** Index among the class names. */
  readonly label: number;
  /** An image that is bright where this one holds what should not matter. */
  readonly mask?: string;
}

/** The images of a user's own data set, before any is read. */
export interface LabelledImages {
  /** Sorted by name. */
  readonly classNames: readonly string[];
  /** "train" always; the others where the files name them. */
  readonly splits: Readonly<Partial<Record<SplitName, readonly LabelledImage[]>>>;
  /** What was left out, and why. */
  readonly warnings?: readonly string[];
}

const CONTEXT: ReadContext = {
  operation: "loadDataset: folder",
  remedy: "give a folder with one subfolder of images for each class, or with train/, val/ and test/ that hold such",
};

/**
 * The images of a folder, told by where they lie: `<class>/*.png`, or `train/<class>/*.png` with `val/` and `test/` beside it if there are
 * such. Subfolders of a class belong to it.
 *
 * @throws E_DATA for fewer than two classes, a class without images, classes that differ by case alone, a class of val or test
 *   that train lacks, or a folder that cannot be read
 */
export async function listClassFolder(folder: string): Promise<LabelledImages> {
  const warnings: string[] = [];
  const names = await subfolders(folder, warnings);
  const found = names.flatMap((name) => {
    const split = splitNamed(name);
    return split === undefined ? [] : [[split, name] as const];
  });
  if (!found.some(([split]) => split === "train")) {
    if (found.length > 0 && found.length === names.length)
      throw dataError(folder, `holds ${found.map(([, name]) => `${name}/`).join(" and ")} and no train/`, CONTEXT);
    const { classNames, images } = await classesOf(folder, names);
    return { classNames, splits: { train: images }, warnings };
  }
  expectOneEach(folder, found);
  const parts = new Map<SplitName, Awaited<ReturnType<typeof classesOf>>>();
  for (const [split, name] of found) {
    const part = join(folder, name);
    parts.set(split, await classesOf(part, await subfolders(part, warnings)));
  }
  const others = names.filter((name) => !found.some(([, own]) => own === name));
  const list = others.map((name) => `${name}/`).join(", ");
  if (others.length > 0) warnings.push(`${folder}: ${list} beside train/ is no split and is left out`);
  return { ...joined(folder, parts), warnings };
}

function expectOneEach(folder: string, found: readonly (readonly [SplitName, string])[]): void {
  for (const [i, [split, name]] of found.entries()) {
    const earlier = found.slice(0, i).find(([other]) => other === split);
    if (earlier) throw dataError(folder, `holds ${earlier[1]}/ and ${name}/, both of them its ${split} split`, CONTEXT);
  }
}

/** The classes are train's; the other splits have them or some of them. */
function joined(
  folder: string,
  parts: ReadonlyMap<SplitName, { classNames: readonly string[]; images: LabelledImage[] }>,
): LabelledImages {
  const classNames = parts.get("train")?.classNames ?? [];
  const splits: Partial<Record<SplitName, LabelledImage[]>> = {};
  for (const [split, { classNames: own, images }] of parts) {
    const places = own.map((name) => classNames.indexOf(name));
    const missing = places.indexOf(-1);
    if (missing >= 0) throw dataError(folder, `class "${own[missing]}" of ${split} is not in train`, CONTEXT);
    splits[split] = images.map(({ path, label }) => ({ path, label: places[label] as number }));
  }
  return { classNames, splits };
}

async function classesOf(
  folder: string,
  names: readonly string[],
): Promise<{ classNames: readonly string[]; images: LabelledImage[] }> {
  if (names.length < 2) {
    const got = names.length === 0 ? "no subfolder" : `one, ${basename(names[0] as string)}/`;
    throw dataError(folder, `needs a subfolder for each of two classes or more, got ${got}`, CONTEXT);
  }
  const seen = new Map<string, string>();
  for (const name of names) {
    const twin = seen.get(name.toLowerCase());
    if (twin !== undefined)
      throw dataError(folder, `classes "${twin}" and "${name}" differ by case alone`, {
        ...CONTEXT,
        remedy: "join or rename them",
      });
    seen.set(name.toLowerCase(), name);
  }
  const images: LabelledImage[] = [];
  for (const [label, name] of names.entries())
    for (const path of await listImages(join(folder, name))) images.push({ path, label });
  return { classNames: names, images };
}

/** Folders that are not hidden, sorted by name, character code by character code. Links to folders are none, which is a warning. */
async function subfolders(folder: string, warnings: string[]): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    for (const { name } of entries.filter((entry) => entry.isSymbolicLink() && !entry.name.startsWith(".")))
      if ((await stat(join(folder, name)).catch(() => null))?.isDirectory())
        warnings.push(`${join(folder, name)} is a link to a folder and is left out`);
    const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map(({ name }) => name);
    return names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(folder, `cannot be read (${reason})`, CONTEXT, error);
  }
}
