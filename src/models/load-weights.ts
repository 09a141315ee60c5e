import { expectPath, optionsOf, wrongArgument } from "../arguments.ts";
import { counted, wordFor } from "../counted.ts";
import { BatchCamError } from "../errors.ts";
import { loadSafetensors } from "../io/index.ts";
import { readTorchFile, weightsKindOf } from "../io/internal.ts";
import type { Tensor } from "../tensor/index.ts";
import { indexedFiles, type WeightsFiles, weightsFileAt } from "./weights-folder.ts";
import { namesOfModels } from "./weights-names.ts";

export interface LoadWeightsOptions {
  /**
   * The entry of a checkpoint that contains the weights, as keys joined by dots ("state_dict_ema", "ema.module"), or the prefix of the
   * names to read ("backbone").
   */
  key?: string | undefined;
}

/** Weights under the names of this project's models. The caller frees them. */
export interface LoadedWeights {
  weights: Map<string, Tensor>;
  /** Descriptions of the choices and changes that were made, one sentence each. */
  notes: string[];
}

/**
 * Reads weights. The path may be a file of safetensors or of torch.save (a state dict, or a checkpoint that contains one), recognised by
 * its bytes; a run directory, of which the best epoch is read; or a folder or an index of transformers. Without a key, the weights of a
 * checkpoint are those at the first of `state_dict`, `model_state_dict`, `model`, `net` ... that contains tensors, and running averages
 * come last. Prefixes that all names share are removed, and the names of transformers are translated to those of torchvision and timm.
 *
 * @throws E_DATA for a file that is damaged or of another format, with a description of its format; E_CHECKPOINT for a folder without
 * weights; E_IO if the operating system reports an error
 */
export async function loadWeights(path: string, options: LoadWeightsOptions = {}): Promise<LoadedWeights> {
  expectPath("loadWeights: path", path);
  const { key } = optionsOf("loadWeights", options, ["key"]);
  if (key !== undefined && typeof key !== "string") throw wrongArgument("loadWeights: key", "a string", key);
  const file = weightsFileAt(path);
  const kind = await weightsKindOf(file, "weights");
  const read = kind === "index" ? await readParts(await indexedFiles(file), key) : await readOne(file, key);
  if (read.weights.size === 0)
    throw new BatchCamError("E_DATA", `weights: ${file}: expected tensors, got a file without any; name another file`);
  const { weights, notes } = namesOfModels(read.weights);
  return { weights, notes: [...read.notes, ...notes] };
}

async function readOne(file: string, key: string | undefined): Promise<LoadedWeights> {
  const kind = await weightsKindOf(file, "weights");
  if (kind === "safetensors") return { weights: underKey(await loadSafetensors(file), key, file), notes: [] };
  const content = await readTorchFile(file, { key, operation: "weights", keyOption: "weightsKey" });
  const notes: string[] = [];
  if (content.key !== "" && key === undefined) notes.push(choiceNote(content.key, content.others));
  if (content.leftOut.length > 0) {
    const names = content.leftOut.slice(0, 3).map((name) => JSON.stringify(name));
    notes.push(
      `${counted(content.leftOut.length, "entry")} of the file ${wordFor(content.leftOut.length, "is not a tensor and was", "are not tensors and were")} ignored: ${names.join(", ")}`,
    );
  }
  return { weights: content.tensors, notes };
}

function choiceNote(key: string, others: readonly string[]): string {
  const found = `read from ${JSON.stringify(key)}, the first usual key of the file that contains tensors`;
  if (others.length === 0) return found;
  const list = others.map((other) => JSON.stringify(other)).join(", ");
  return `${found}; it also has weights at ${list}, which can be chosen by weightsKey`;
}

/** The tensors whose names begin with the key, under the rest of their names. */
function underKey(weights: Map<string, Tensor>, key: string | undefined, file: string): Map<string, Tensor> {
  if (key === undefined) return weights;
  const prefix = `${key}.`;
  const chosen = new Map(
    [...weights].flatMap(([name, tensor]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [])),
  );
  for (const [name, tensor] of weights) if (!name.startsWith(prefix)) tensor.dispose();
  if (chosen.size > 0) return chosen as Map<string, Tensor>;
  const starts = [...new Set(Array.from(weights.keys(), (name) => name.split(".")[0] as string))].slice(0, 8);
  throw new BatchCamError(
    "E_DATA",
    `weights: ${file}: expected names that begin with ${JSON.stringify(prefix)}, got ${starts.join(", ") || "none"}; a safetensors file has no keys but the beginnings of its names (weightsKey)`,
  );
}

/** Reads weights that are divided into several files. A file may contain more tensors than the index names for it. */
async function readParts(parts: readonly WeightsFiles[], key: string | undefined): Promise<LoadedWeights> {
  const weights = new Map<string, Tensor>();
  try {
    for (const { file, names } of parts) {
      const read = await readOne(file, undefined);
      for (const [name, tensor] of read.weights) {
        if (names?.has(name)) weights.set(name, tensor);
        else tensor.dispose();
      }
      const absent = [...(names ?? [])].find((name) => !weights.has(name));
      if (absent === undefined) continue;
      const problem = `expected ${JSON.stringify(absent)} in it, as the index says, got none`;
      throw new BatchCamError("E_DATA", `weights: ${file}: ${problem}; fetch the parts and their index again`);
    }
    const file = parts.map((part) => part.file).join(", ");
    const notes = [`read from ${counted(parts.length, "part")} by ${wordFor(parts.length, "its", "their")} index`];
    return { weights: underKey(weights, key, file), notes };
  } catch (error) {
    for (const tensor of weights.values()) tensor.dispose();
    throw error;
  }
}
