import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { loadSafetensors, loadTorchFile, type Tensor } from "../tensor/index.ts";

/**
 * The weights of a file, .safetensors or torch's .pth, .pt or .bin, or of a run directory's best epoch. The prefix "module." of
 * DataParallel is taken off.
 *
 * @throws E_DATA, E_IO, E_CHECKPOINT for a file that cannot be read
 */
export async function readWeights(path: string): Promise<Map<string, Tensor>> {
  const best = join(path, "checkpoints", "best.safetensors");
  const file = existsSync(best) && statSync(path).isDirectory() ? best : path;
  const weights = await (/\.(?:pth|pt|bin)$/.test(file) ? loadTorchFile : loadSafetensors)(file);
  const names = [...weights.keys()];
  const prefixed = names.length > 0 && names.every((name) => name.startsWith(PREFIX));
  return prefixed ? new Map(Array.from(weights, ([name, tensor]) => [name.slice(PREFIX.length), tensor])) : weights;
}

const PREFIX = "module.";
