import { readdir, stat } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import type { BatchCamError } from "../../errors.ts";
import { accessing, dataError, type ReadContext } from "../../io/internal.ts";
import { isImageName, READABLE } from "../images/format.ts";
import { LeftOut } from "../record/left-out.ts";
import { type SplitName, splitNamed } from "../splits/split.ts";
import { byCode, confusable } from "./class-names.ts";
import { noImage } from "./image-folder.ts";
import { type FoundImage, walkImages } from "./image-walk.ts";

/** An image file and its class. */
export interface LabelledImage {
  readonly path: string;
  /** Index into the class names. */
  readonly label: number;
  /** Path of a mask: an image that is bright at the pixels of this one that should not affect the prediction. */
  readonly mask?: string;
}

/** The listing of a user's own data set, before any image is read. */
export interface LabelledImages {
  /** Sorted, in Unicode form NFC. */
  readonly classNames: readonly string[];
  /** The images of each split. "train" is always present; the others are present if the files name them. */
  readonly splits: Readonly<Partial<Record<SplitName, readonly LabelledImage[]>>>;
  /** Files that were left out, with the reasons. */
  readonly warnings?: readonly string[];
}

const CONTEXT: ReadContext = {
  operation: "loadDataset: folder",
  remedy:
    "give a folder with one subfolder of images for each class, or with train/, val/ and test/ that contain such subfolders",
};

/** The state that all steps of listing a data set share. */
interface Listing {
  /** Folder of the data set. */
  root: string;
  followLinks: boolean;
  leftOut: LeftOut;
}

/**
 * Lists the images of a folder, whose classes and splits follow from its subfolders: `<class>/*.png`, or
 * `train/<class>/*.png` with optional `val/` and `test/` in the same folder, in any usual spelling. Images in
 * subfolders of a class belong to the class. A folder called `train` that contains images itself is a class if there
 * are other classes in the same folder.
 *
 * @throws E_DATA for fewer than two classes, a class of train without images, classes whose names differ only in case,
 *   a class of val or test that train lacks, a file that links put into two classes or splits, or a folder that cannot
 *   be read
 */
export async function listClassFolder(
  folder: string,
  { followLinks = false }: { followLinks?: boolean } = {},
): Promise<LabelledImages> {
  const listing: Listing = { root: folder, followLinks, leftOut: new LeftOut() };
  const names = await subfolders(folder, listing);
  const splits = await splitFolders(folder, names, listing);
  const parts = new Map<SplitName, Part>();
  const beside: string[] = [];
  if (splits.size === 0) parts.set("train", await partOf("train", folder, names, listing));
  else {
    for (const [split, name] of splits) {
      const own = join(folder, name);
      parts.set(split, await partOf(split, own, await subfolders(own, listing), listing));
    }
    const others = names.filter((name) => ![...splits.values()].includes(name)).map((name) => `${name}/`);
    if (others.length > 0)
      beside.push(
        `${folder}: left out ${others.join(", ")} next to ${splits.get("train")}/: not a split with class folders`,
      );
  }
  expectDistinct(folder, parts);
  const { leftOut } = listing;
  const summary = leftOut.isEmpty ? [] : [`${folder}: left out ${leftOut.describe()}`];
  return { ...joined(folder, parts), warnings: [...beside, ...summary] };
}

/** The folders of the splits; empty if the subfolders are the classes. */
async function splitFolders(
  folder: string,
  names: readonly string[],
  listing: Listing,
): Promise<Map<SplitName, string>> {
  const found = new Map<SplitName, string>();
  const classes: string[] = [];
  const named = names.filter((name) => splitNamed(name) !== undefined);
  for (const name of named) {
    const split = splitNamed(name) as SplitName;
    const earlier = found.get(split);
    if (await isClass(join(folder, name), listing)) classes.push(name);
    else if (earlier !== undefined)
      throw dataError(folder, `contains both ${earlier}/ and ${name}/ as its ${split} split`, CONTEXT);
    else found.set(split, name);
  }
  if (named.length === 0 || (classes.length === named.length && names.length > named.length)) return new Map();
  const list = (of: readonly string[]) => of.map((name) => `${name}/`).join(" and ");
  if (found.has("train")) return found;
  if (classes.length > 0)
    throw dataError(folder, `contains images directly in ${list(classes)}, without a folder for their class`, CONTEXT);
  if (named.length === names.length) throw dataError(folder, `contains ${list(named)} but no train/`, CONTEXT);
  return new Map(); // the subfolders are classes, and one of them happens to have the name of a split
}

/** Whether a folder contains images directly and has no subfolders, as the folder of a class does. */
async function isClass(folder: string, listing: Listing): Promise<boolean> {
  const entries = await accessing(folder, CONTEXT, () => readdir(folder, { withFileTypes: true }));
  const isOwn = (name: string) => !name.startsWith(".") && isImageName(name);
  const linked = (await subfolders(folder, { ...listing, leftOut: new LeftOut() })).length > 0;
  return entries.some((entry) => !entry.isDirectory() && isOwn(entry.name)) && !linked;
}

/** The classes of a split and their images. */
interface Part {
  classNames: string[];
  images: { image: FoundImage; label: number }[];
}

async function partOf(split: SplitName, folder: string, names: readonly string[], listing: Listing): Promise<Part> {
  if (names.length === 0 || (split === "train" && names.length < 2)) throw await tooFewClasses(folder, names, listing);
  const pair = confusable(names);
  if (pair !== null) throw dataError(folder, pair, { ...CONTEXT, remedy: "join or rename them" });
  const images: Part["images"] = [];
  for (const [label, name] of names.entries()) {
    const own = new LeftOut();
    const path = join(folder, name);
    const { followLinks, root: base } = listing;
    const found = await walkImages(path, { followLinks, base, leftOut: own });
    if (found.length === 0 && split === "train")
      throw noImage(path, own, { ...CONTEXT, remedy: `put images of the class into it, or remove the folder` });
    listing.leftOut.join(own);
    images.push(...found.map((image) => ({ image, label })));
  }
  return { classNames: names.map((name) => name.normalize("NFC")), images };
}

async function tooFewClasses(folder: string, names: readonly string[], listing: Listing): Promise<BatchCamError> {
  const [only] = names;
  const got = only === undefined ? "no subfolder" : `one, ${basename(only)}/`;
  const inner = only === undefined ? [] : await subfolders(join(folder, only), { ...listing, leftOut: new LeftOut() });
  const links = listing.leftOut.isEmpty ? "" : `, and ${listing.leftOut.describe()}`;
  const remedy =
    inner.length > 1
      ? `give ${join(folder, only as string)}, which holds ${inner.length}`
      : `${CONTEXT.remedy}; ${READABLE}`;
  return dataError(folder, `needs a subfolder for each of two classes or more, got ${got}${links}`, {
    ...CONTEXT,
    remedy,
  });
}

/**
 * Refuses a file that links put into two classes, which contradict each other, or into two splits, because the model
 * would be evaluated on an image that it was trained on.
 */
function expectDistinct(folder: string, parts: ReadonlyMap<SplitName, Part>): void {
  const seen = new Map<string, { path: string; place: string }>();
  for (const [split, { classNames, images }] of parts)
    for (const { image, label } of images) {
      const place = `class "${classNames[label]}" of ${split}`;
      const earlier = seen.get(image.target);
      if (earlier !== undefined && earlier.place !== place) {
        const [first, second] = [earlier.path, image.path].map((path) => relative(folder, path));
        const problem = `${first} in ${earlier.place} and ${second} in ${place} are the same file, through a link`;
        throw dataError(folder, problem, { ...CONTEXT, remedy: "leave one of them out" });
      }
      seen.set(image.target, { path: image.path, place });
    }
}

/** Joins the splits under the classes of train. The other splits may lack classes, but must not have new ones. */
function joined(folder: string, parts: ReadonlyMap<SplitName, Part>): LabelledImages {
  const classNames = [...(parts.get("train")?.classNames ?? [])].sort(byCode);
  const splits: Partial<Record<SplitName, LabelledImage[]>> = {};
  for (const [split, { classNames: own, images }] of parts) {
    const places = own.map((name) => classNames.indexOf(name));
    const missing = own[places.indexOf(-1)];
    if (missing !== undefined) {
      const twin = classNames.find((name) => name.toLowerCase() === missing.toLowerCase());
      const other = twin === undefined ? "is not in train" : `is "${twin}" in train`;
      throw dataError(folder, `class "${missing}" of ${split} ${other}`, CONTEXT);
    }
    splits[split] = images.map(({ image: { path }, label }) => ({ path, label: places[label] as number }));
  }
  return { classNames, splits };
}

/**
 * Names of the subfolders that are not hidden, sorted, including links to folders if these are followed. All other
 * entries are counted as left out.
 */
async function subfolders(folder: string, { root, followLinks, leftOut }: Listing): Promise<string[]> {
  const entries = await accessing(folder, CONTEXT, () => readdir(folder, { withFileTypes: true }));
  const names: string[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    const linked = entry.isSymbolicLink() && ((await stat(path).catch(() => null))?.isDirectory() ?? false);
    if (entry.name.startsWith(".")) leftOut.add("hidden");
    else if (entry.isDirectory() || (linked && followLinks)) names.push(entry.name);
    else if (linked) leftOut.add("link", relative(root, path));
    else
      leftOut.add(
        isImageName(entry.name) ? "image outside the folders" : "file outside the folders",
        relative(root, path),
      );
  }
  return names.sort(byCode);
}
