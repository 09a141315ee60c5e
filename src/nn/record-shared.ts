import { BatchCamError } from "../errors.ts";
import { noGrad, type Tensor, tidy } from "../tensor/index.ts";
import { logitsOf } from "./logits.ts";
import { type RecordedOutputs, recordOutputs } from "./recorder.ts";

/** What recording needs of a module. It does not import `Module`, whose `forwardWith` records. */
interface Layer {
  readonly training: boolean;
  namedModules(): ReadonlyMap<string, Layer>;
}

/**
 * `recordOutputs` of a model, where a tapped output may share memory with its module's input. What reads the output gets a copy
 * of it, and a change of that memory under another name does not reach the copy. Whether that matters, only the logits tell: a
 * model in evaluation mode runs once more without taps, and where the logits differ the output stays in its memory.
 *
 * @throws E_CONFIG in training mode, where a second run would change running statistics
 */
export function recordShared<M extends Layer>(
  model: M,
  modules: ReadonlyMap<string, M>,
  forward: () => unknown,
): RecordedOutputs<unknown, M> {
  const wanted = new Set(modules.values());
  const paths = new Map(Array.from(modules, ([path, module]) => [module, path]));
  const nameOf = (module: M) => `forwardWith: layer ${paths.get(module)}`;
  const first = recordOutputs(wanted, forward, { nameOf });
  if (first.changed.size === 0) return first;
  if ([...model.namedModules().values()].some(({ training }) => training)) {
    for (const [path, module] of modules) if (first.changedElsewhere.has(module)) throw sharedMemory(path);
    return first;
  }
  const agrees = tidy(() => {
    const logits = logitsOf("forwardWith", model, noGrad(forward));
    return areClose(logitsOf("forwardWith", model, first.result), logits);
  });
  return agrees ? first : recordOutputs(wanted, forward, { joined: first.changed, nameOf });
}

/** Whether logits are the same but for rounding. */
function areClose(ours: Tensor, theirs: Tensor): boolean {
  const [a, b] = [ours.detach().to("float64"), theirs.detach().to("float64")];
  const tolerance = ours.dtype === "float32" || ours.dtype === "float64" ? 1e-4 : 1e-2;
  return a.sub(b).abs().max().item() <= tolerance * b.abs().max().item();
}

function sharedMemory(path: string): BatchCamError {
  return new BatchCamError(
    "E_CONFIG",
    `forwardWith: ${path} returned memory that the model changes in place afterwards under another name, which a tapped output in training mode does not follow: clone() the input of ${path} or its output, write the later operator without its underscore, or call eval() first`,
  );
}
