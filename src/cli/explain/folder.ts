import { type Dirent, existsSync, realpathSync, statSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { isTemporary, makeFolder, writeFileAtomically } from "../../atomic-file.ts";
import { METHODS } from "../../cam/index.ts";
import { BatchCamError } from "../../errors.ts";
import { holderOf, lockRun, RUN_LOCK } from "../../train/internal.ts";

/** An empty file that marks a folder as an explanation's, finished or not. It is written first and removed last. */
const MARK = ".batch-cam-explanation";
/** The names of all files that an explanation writes, except those in `overlays`. */
const OWN = new RegExp(
  `^(?:grid(?:-\\d+)?\\.png|maps\\.safetensors|manifest\\.json|(?:${METHODS.join("|").replaceAll("+", "\\+")})(?:\\.\\d+)?\\.npy)$`,
);
const PICTURE = /^\d{4,}-.*\.png$/;

export interface FolderUse {
  output: string;
  overwrite: boolean;
  /** The files that are read: images and weights. They must not be inside the folder. */
  inputs: readonly string[];
}

/**
 * Throws if a folder must not be written to: if it contains a finished explanation that may not be replaced, files that no explanation
 * wrote, or the images themselves. It changes nothing.
 */
export async function expectFree({ output, overwrite, inputs }: FolderUse): Promise<void> {
  const fail = (message: string): never => {
    throw new BatchCamError("E_CONFIG", `explain: ${message}`);
  };
  if (!existsSync(output)) return;
  if (!statSync(output).isDirectory()) fail(`--output ${output} is not a folder`);
  const inside = inputs.find((input) => existsSync(input) && isWithin(realpathSync(output), realpathSync(input)));
  if (inside !== undefined)
    fail(`--output ${output} contains a file that the explanation reads (${inside}): choose another folder`);
  const foreign = await foreignEntry(output);
  if (foreign !== undefined)
    fail(`${output} contains something that is not an explanation (${foreign}): choose another --output`);
  if (existsSync(join(output, "manifest.json")) && !overwrite)
    fail(`${output} contains an explanation: choose another --output, or add --overwrite to replace it`);
}

/** A limit that ends the search; nobody keeps so many explanations. */
const MOST_FOLDERS = 10_000;

/**
 * The folder for an explanation that names none: `explanations`, or `explanations-2` and so on if that contains a finished explanation, one
 * in progress, or anything else.
 */
export async function nextFolder(use: Omit<FolderUse, "output">, base = "explanations"): Promise<string> {
  for (let number = 1; number < MOST_FOLDERS; number++) {
    const output = number === 1 ? base : `${base}-${number}`;
    const free = await expectFree({ ...use, output }).then(
      () => holderOf(join(output, RUN_LOCK), output) === null,
      (error) => !isTaken(error),
    );
    if (free) return output;
  }
  throw new BatchCamError(
    "E_CONFIG",
    `explain: there are ${MOST_FOLDERS} folders ${base}-N already: choose one with --output`,
  );
}

/** Whether an error is about the content of the folder. Any other error would occur with the next number too, so it is thrown. */
function isTaken(error: unknown): boolean {
  if (error instanceof BatchCamError && error.code === "E_CONFIG") return true;
  throw error;
}

/**
 * Locks the folder for this process and deletes an earlier explanation from it. The manifest goes first, because it marks the folder as
 * complete.
 *
 * @returns a function that releases the folder
 * @throws E_CHECKPOINT if another live process writes there
 */
export async function claimFolder(use: FolderUse, overlays: boolean): Promise<() => void> {
  const { output } = use;
  await makeFolder(output);
  const release = lockRun(output);
  try {
    await expectFree(use); // another process may have written there before the lock was taken
    await writeFileAtomically(join(output, MARK), "");
    for (const entry of ["manifest.json", ...(await readdir(output))])
      if (!isKeeper(entry)) await rm(join(output, entry), { recursive: true, force: true });
    if (overlays) await makeFolder(join(output, "overlays"));
    return release;
  } catch (error) {
    release();
    throw error;
  }
}

const isKeeper = (entry: string) => entry === MARK || entry.startsWith(RUN_LOCK);

/**
 * The name of something in a folder that no explanation wrote, if any. Without the mark, that is everything except locks and temporary
 * files.
 */
async function foreignEntry(output: string): Promise<string | undefined> {
  const entries = await readdir(output, { withFileTypes: true });
  const marked = entries.some(({ name }) => name === MARK);
  const isOwn = (entry: Dirent) =>
    isKeeper(entry.name) ||
    isTemporary(entry.name) ||
    (marked && (entry.isFile() ? OWN.test(entry.name) : entry.isDirectory() && entry.name === "overlays"));
  const foreign = entries.find((entry) => !isOwn(entry));
  if (foreign !== undefined) return foreign.name;
  const overlays = join(output, "overlays");
  if (!existsSync(overlays)) return undefined;
  const pictures = await readdir(overlays, { withFileTypes: true });
  const stray = pictures.find((entry) => !entry.isFile() || !(PICTURE.test(entry.name) || isTemporary(entry.name)));
  return stray === undefined ? undefined : join("overlays", stray.name);
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`);
}
