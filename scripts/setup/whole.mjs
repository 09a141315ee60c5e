import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

// The files that are kept of the wheels: the C++ part, and the CUDA libraries, without which it does not load. Only Python needs the rest.
const KEPT = { "": ["torch", "nvidia", "torchgen"], torch: ["include", "lib", "share", "version.py"] };
const ONLY_PYTHON = /^lib(torch_python|shm)/;

/**
 * The files and folders of unpacked wheels that a C++ program does not need, relative to their folder.
 *
 * @param {string} folder
 */
export function surplus(folder) {
  const found = Object.entries(KEPT).flatMap(([parent, names]) =>
    readdirSync(join(folder, parent))
      .filter((name) => !names.includes(name) && !name.endsWith(".dist-info"))
      .map((name) => join(parent, name)),
  );
  const libraries = readdirSync(join(folder, "torch/lib")).filter((name) => ONLY_PYTHON.test(name));
  return [...found, ...libraries.map((name) => join("torch/lib", name))];
}

/**
 * The first header or library that the wheels' own lists (RECORD) name and that is missing or incomplete; null if all are complete.
 *
 * @param {string} folder
 * @returns {string | null}
 */
export function damagedFile(folder) {
  const lists = readdirSync(folder).filter((name) => name.endsWith(".dist-info"));
  if (lists.length === 0) return "torch.dist-info";
  for (const list of lists.map((name) => join(name, "RECORD"))) {
    if (!sizeOf(join(folder, list))) return list;
    for (const { path, size } of recorded(join(folder, list))) {
      if (isNeeded(path) && sizeOf(join(folder, path)) !== size) return path;
    }
  }
  return null;
}

/**
 * Parses a RECORD, whose lines are path,hash,size. The line of the RECORD itself has no size.
 *
 * @param {string} list
 */
function recorded(list) {
  return [...readFileSync(list, "utf8").matchAll(/^([^",\n]+),[^,\n]*,(\d+)\r?$/gm)].map(([, path = "", size]) => ({
    path,
    size: Number(size),
  }));
}

/** @param {string} path */
function isNeeded(path) {
  if (path.startsWith("torch/lib/")) return !ONLY_PYTHON.test(path.slice("torch/lib/".length));
  return path.startsWith("torch/include/") || path.startsWith("nvidia/");
}

/** @param {string} path */
function sizeOf(path) {
  try {
    return statSync(path).size;
  } catch {
    return null;
  }
}
