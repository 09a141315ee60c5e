import { existsSync, statSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { isTemporary, makeFolder } from "../atomic-file.ts";
import { BatchCamError } from "../errors.ts";
import { lockRun, RUN_LOCK } from "../train/run-lock.ts";

/** What an explanation writes under names of its own; .npy files are those that its manifest lists. */
const OWN = /^(?:grid(?:-\d+)?\.png|maps\.safetensors|manifest\.json|overlays)$/;
const PICTURE = /^\d{4,}-.*\.png$/;

export interface FolderUse {
  output: string;
  overwrite: boolean;
  /** Files that are still to be read, which must not lie in the folder. */
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
  const inside = inputs.find((input) => isWithin(resolve(output), resolve(input)));
  if (inside !== undefined)
    fail(`--output ${output} holds an image that is to be explained (${inside}): choose another`);
  const foreign = await foreignEntry(output);
  if (foreign !== undefined) fail(`${output} holds something else (${foreign}): choose another --output`);
  if (existsSync(join(output, "manifest.json")) && !overwrite)
    fail(`${output} holds an explanation: choose another --output, or --overwrite it`);
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
    for (const entry of ["manifest.json", ...(await readdir(output))])
      if (!entry.startsWith(RUN_LOCK)) await rm(join(output, entry), { recursive: true, force: true });
    if (overlays) await makeFolder(join(output, "overlays"));
    return release;
  } catch (error) {
    release();
    throw error;
  }
}

async function foreignEntry(output: string): Promise<string | undefined> {
  const listed = await listedFiles(output);
  const isOwn = (entry: string) =>
    OWN.test(entry) || entry.startsWith(RUN_LOCK) || isTemporary(entry) || listed.has(entry);
  const foreign = (await readdir(output)).find((entry) => !isOwn(entry));
  if (foreign !== undefined) return foreign;
  const overlays = join(output, "overlays");
  if (!existsSync(overlays)) return undefined;
  if (!statSync(overlays).isDirectory()) return "overlays";
  const stray = (await readdir(overlays)).find((entry) => !PICTURE.test(entry) && !isTemporary(entry));
  return stray === undefined ? undefined : join("overlays", stray);
}

/** Raw maps that the manifest names. */
async function listedFiles(output: string): Promise<Set<string>> {
  try {
    const manifest = JSON.parse(await readFile(join(output, "manifest.json"), "utf8"));
    const files: unknown[] = manifest.schemaVersion === 1 ? manifest.maps.files : [];
    return new Set(files.filter((file): file is string => typeof file === "string" && /^[\w+.]+\.npy$/.test(file)));
  } catch {
    return new Set(); // there is none, or it is no explanation's
  }
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`);
}
