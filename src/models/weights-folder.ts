import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { counted, wordFor } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { readRegularText } from "../regular-file.ts";

/** The files that contain a model's weights. If there are several, each has a list of the names that are read from it. */
export interface WeightsFiles {
  readonly file: string;
  /** null if all names are read */
  readonly names: ReadonlySet<string> | null;
}

/** The usual paths of weights in a folder, in the order in which they are tried: those of a run, of transformers and of timm. */
const USUAL_FILES = [
  "checkpoints/best.safetensors",
  "best.safetensors",
  "model.safetensors.index.json",
  "model.safetensors",
  "pytorch_model.bin.index.json",
  "pytorch_model.bin",
];
const WEIGHTS = /\.(?:safetensors|pth|pt|bin|ckpt|pth\.tar)$/i;
const OTHER_LIBRARIES: Readonly<Record<string, string>> = {
  "saved_model.pb": "TensorFlow",
  "tf_model.h5": "TensorFlow",
  "model.weights.h5": "Keras",
  "flax_model.msgpack": "Flax",
  "model.onnx": "ONNX",
};

/** Limit on the size of an index. The index of a model of a thousand parts is much smaller. */
const MAX_INDEX_BYTES = 64 * 2 ** 20;

/**
 * The file of weights that a path names: the path itself or, for a folder, the usual file in it.
 *
 * @throws E_CHECKPOINT for a folder with no such file or several, with a description of its content
 */
export function weightsFileAt(path: string): string {
  if (!existsSync(path) || !statSync(path).isDirectory()) return path;
  const usual = USUAL_FILES.find((name) => existsSync(join(path, name)));
  if (usual !== undefined) return join(path, usual);
  const names = readdirSync(path);
  const indices = names.filter((name) => name.endsWith(".index.json"));
  const files = indices.length > 0 ? indices : names.filter((name) => WEIGHTS.test(name));
  const [only] = files;
  if (only !== undefined && files.length === 1) return join(path, only);
  throw new BatchCamError("E_CHECKPOINT", `weights: ${path} ${folderProblem(names, files)}`);
}

function folderProblem(names: readonly string[], files: readonly string[]): string {
  if (files.length > 1) return `contains several files of weights: name one of ${shown(files)}`;
  const library = names.map((name) => OTHER_LIBRARIES[name]).find((found) => found !== undefined);
  if (library !== undefined)
    return `contains only weights of ${library}: convert the model to PyTorch, and save its state dict`;
  const expected =
    "a run's checkpoints/best.safetensors, model.safetensors, pytorch_model.bin or an index of their parts";
  return `is a folder without weights: expected ${expected}, got ${shown(names)}`;
}

const shown = (names: readonly string[]): string =>
  names.length === 0
    ? "nothing"
    : `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`;

/**
 * The files of weights that an index of transformers (`model.safetensors.index.json`) names. Its `weight_map` gives the file of each
 * name, relative to the index.
 *
 * @throws E_DATA for an index that is damaged, whose paths lead out of its folder, or that names missing files, all of which the message
 * lists
 */
export async function indexedFiles(index: string): Promise<WeightsFiles[]> {
  const fail = (problem: string, remedy: string): never => {
    throw new BatchCamError("E_DATA", `weights: ${index}: ${problem}; ${remedy}`);
  };
  const { size } = statSync(index);
  if (size > MAX_INDEX_BYTES) fail(`expected an index of at most ${MAX_INDEX_BYTES} bytes, got ${size}`, FETCH);
  const map = weightMap(await readRegularText(index), (problem) => fail(problem, FETCH));
  const parts = new Map<string, Set<string>>();
  for (const [name, file] of map) {
    if (!staysWithin(file))
      fail(`the path ${JSON.stringify(file)} leads out of its folder`, "fetch the index from a source that you trust");
    const names = parts.get(file) ?? new Set<string>();
    parts.set(file, names.add(name));
  }
  const folder = dirname(index);
  const missing = [...parts.keys()].filter((file) => !existsSync(join(folder, file)));
  if (missing.length > 0)
    fail(
      `${missing.length} of its ${counted(parts.size, "part")} ${wordFor(missing.length, "is", "are")} missing: ${shown(missing)}`,
      "fetch them into the index's folder",
    );
  return Array.from(parts, ([file, names]) => ({ file: join(folder, file), names }));
}

const FETCH = "fetch the index again";

function weightMap(text: string, fail: (problem: string) => never): [string, string][] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    return fail(`it is not JSON (${(cause as Error).message})`);
  }
  const map = (parsed as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    return fail("expected an object weight_map, got none");
  const entries = Object.entries(map) as [string, unknown][];
  const wrong = entries.find(([, file]) => typeof file !== "string" || file === "");
  if (wrong !== undefined) return fail(`expected a file's name for ${JSON.stringify(wrong[0])}, got something else`);
  if (entries.length === 0) return fail("its weight_map names no weights");
  return entries as [string, string][];
}

/** Links may lead out of the folder, as they do in the cache of Hugging Face, but the text of a path must not. */
function staysWithin(file: string): boolean {
  return !isAbsolute(file) && !/^[a-z]:|\\|\0/i.test(file) && !file.split("/").includes("..");
}
