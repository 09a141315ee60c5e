import { type Dirent, existsSync, realpathSync, statSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { isTemporary, makeFolder, writeFileAtomically } from "../../atomic-file.ts";
import { METHODS } from "../../cam/index.ts";
import { BatchCamError } from "../../errors.ts";
import { holderOf, lockRun, RUN_LOCK } from "../../train/run/run-lock.ts";

/** Says that a folder is an explanation's, finished or not: written first, removed last. */
const MARK = ".batch-cam-explanation";
/** What an explanation writes under names of its own, all files but `overlays`. */
const OWN = new RegExp(
  `^(?:grid(?:-\\d+)?\\.png|maps\\.safetensors|manifest\\.json|(?:${METHODS.join("|").replaceAll("+", "\\+")})(?:\\.\\d+)?\\.npy)$`,
);
const PICTURE = /^\d{4,}-.*\.png$/;

export interface FolderUse {
  output: string;
  overwrite: boolean;
  /** Files that are read: images, weights. They must not lie in the folder. */
  inputs: readonly string[];
}

/**
 * Fails where a folder must not be written to: it holds a finished explanation that is not to be replaced, or anything that no
 * explanation wrote, or the images themselves. Changes nothing.
 */
export async function expectFree({ output, overwrite, inputs }: FolderUse): Promise<void> {
  const fail = (message: string): never => {
    throw new BatchCamError("E_CONFIG", `explain: ${message}`);
  };
  if (!existsSync(output)) return;
  if (!statSync(output).isDirectory()) fail(`--output ${output} is no folder`);
  const inside = inputs.find((input) => existsSync(input) && isWithin(realpathSync(output), realpathSync(input)));
  if (inside !== undefined)
    fail(`--output ${output} holds what is read for the explanation (${inside}): choose another`);
  const foreign = await foreignEntry(output);
  if (foreign !== undefined) fail(`${output} holds something else (${foreign}): choose another --output`);
  if (existsSync(join(output, "manifest.json")) && !overwrite)
    fail(`${output} holds an explanation: choose another --output, or --overwrite it`);
}

/** More of them than anybody keeps. */
const MOST_FOLDERS = 10_000;

/**
 * The folder for an explanation that names none: `explanations`, or `explanations-2` and so on where a finished one, one in
 * progress, or anything else is there.
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
  throw new BatchCamError("E_CONFIG", `explain: there are ${MOST_FOLDERS} folders ${base}-N: name one by --output`);
}

/** Whether it is the folder's own state that keeps an explanation out; any other failure is not helped by another number. */
function isTaken(error: unknown): boolean {
  if (error instanceof BatchCamError && error.code === "E_CONFIG") return true;
  throw error;
}

/**
 * Makes the folder this process's own and empties it of an earlier explanation, the manifest first, which says that all is there.
 *
 * @returns what gives the folder back
 * @throws E_CHECKPOINT where a live process writes there
 */
export async function claimFolder(use: FolderUse, overlays: boolean): Promise<() => void> {
  const { output } = use;
  await makeFolder(output);
  const release = lockRun(output);
  try {
    await expectFree(use); // another process may have been there meanwhile
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

/** Something in a folder that no explanation wrote: anything but a lock, where the folder does not bear the mark. */
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
