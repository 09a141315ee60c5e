import { SAVE_STATE_DICT, saveStateDictOf } from "./foreign-formats.ts";
import { describePickled, ForeignObject, type PickleValue } from "./pickle-value.ts";
import { quote } from "./safetensors-json.ts";
import type { Fail } from "./tensor-file.ts";
import { ForeignTensor, TorchTensor } from "./torch-globals.ts";

export type Dict = ReadonlyMap<PickleValue, PickleValue>;

/** The state dict that was chosen from a checkpoint. */
export interface ChosenDict {
  readonly dict: Dict;
  /**
   * Prefix that is removed from the names of its tensors. For the key "backbone" and names such as
   * "backbone.conv1.weight" it is "backbone.".
   */
  readonly prefix: string;
  /** The path of keys to it, joined by dots; "" if it is the top level of the file. */
  readonly key: string;
  /** Keys of other entries of the file that contain weights too. */
  readonly others: readonly string[];
}

export interface ChoiceOptions {
  /** The key of the entry with the weights, or a path of keys joined by dots. */
  key: string | undefined;
  /** How messages refer to the option that sets the key, such as "the option key". */
  keyOption: string;
  fail: Fail;
}

/**
 * The keys under which checkpoints usually store weights. Without a given key the first of these that contains tensors
 * is used. Averaged weights come last.
 */
const USUAL_KEYS = [
  ..."state_dict model_state_dict model model_state net network module weights params".split(" "),
  ..."state_dict_ema model_ema ema_state_dict ema params_ema".split(" "),
];

/** The usual keys are searched to this depth, which covers nested checkpoints such as {"ema": {"module": {...}}}. */
const MOST_DEPTH = 3;
const MOST_KEYS_SHOWN = 20;

/** Chooses the state dict of a checkpoint, by the given key or by `USUAL_KEYS`. */
export function chooseStateDict(root: PickleValue, options: ChoiceOptions): ChosenDict {
  refuseModule(root, options);
  if (!(root instanceof Map)) {
    return options.fail(`expected a dict, got ${describePickled(root)}`, SAVE_STATE_DICT);
  }
  if (options.key !== undefined) return byKey(root, options.key, options);
  const found = usual(root);
  if (found !== null) return { prefix: "", ...found };
  for (const key of USUAL_KEYS) refuseModule(root.get(key), options, key);
  const dicts = keysOfDicts(root);
  const [only] = dicts;
  if (only !== undefined && dicts.length === 1)
    return { dict: root.get(only) as Dict, prefix: "", key: only, others: [] };
  return options.fail(
    `expected a dict of tensors in the file, at "state_dict" or at "model", got ${describeKeys(root)}`,
    `name the right entry by ${options.keyOption}`,
  );
}

type Found = Omit<ChosenDict, "prefix">;

/**
 * Finds the state dict without a key: the dict itself if its entries are tensors, otherwise the first usual key with
 * tensors.
 *
 * @param known results for the dicts that were visited before, so that a dict that contains itself does not loop
 */
function usual(dict: Dict, depth = MOST_DEPTH, known = new Map<Dict, Found | null>()): Found | null {
  if ([...dict.values()].every(isTensor)) return { dict, key: "", others: [] };
  const earlier = known.get(dict);
  if (earlier !== undefined) return earlier;
  known.set(dict, null);
  const inner =
    depth === 0
      ? []
      : USUAL_KEYS.flatMap((key) => {
          const value = dict.get(key);
          const found = value instanceof Map && value.size > 0 ? usual(value, depth - 1, known) : null;
          return found === null ? [] : [{ ...found, key: found.key === "" ? key : `${key}.${found.key}`, at: key }];
        });
  const [first, ...rest] = inner;
  const own = isStateDict(dict) ? { dict, key: "", others: [] } : null;
  const found = first === undefined ? own : { dict: first.dict, key: first.key, others: rest.map(({ at }) => at) };
  known.set(dict, found);
  return found;
}

/** Whether a dict is a state dict: most of its values are tensors. A few other values are ignored. */
function isStateDict(dict: Dict): boolean {
  const values = [...dict.values()];
  return 2 * values.filter(isTensor).length > values.length;
}

const keysOfDicts = (dict: Dict): string[] =>
  [...dict].flatMap(([key, value]) =>
    typeof key === "string" && value instanceof Map && value.size > 0 && isStateDict(value) ? [key] : [],
  );

function byKey(root: Dict, key: string, options: ChoiceOptions): ChosenDict {
  const found = descend(root, key) ?? descendUsual(root, key);
  refuseModule(found?.value, options, key);
  if (found?.value instanceof Map) {
    const inner = found.prefix === "" ? usual(found.value) : null;
    return { dict: inner?.dict ?? found.value, prefix: found.prefix, key, others: [] };
  }
  return options.fail(
    `expected a dict of tensors at the key ${quote(key)}, got ${describeKeys(root)}`,
    `name the right entry by ${options.keyOption}`,
  );
}

interface Place {
  value: PickleValue;
  prefix: string;
}

/**
 * Resolves a key in a dict. It may name an entry, a nested entry ("ema.module"), or the common prefix of several names
 * ("backbone" for "backbone.conv1.weight"). Keys can contain dots, so every way to divide the path is tried.
 */
function descend(dict: Dict, path: string): Place | undefined {
  const whole = dict.get(path);
  if (whole !== undefined) return { value: whole, prefix: "" };
  for (let dot = path.lastIndexOf("."); dot > 0; dot = path.lastIndexOf(".", dot - 1)) {
    const inner = dict.get(path.slice(0, dot));
    const found = inner instanceof Map ? descend(inner, path.slice(dot + 1)) : undefined;
    if (found !== undefined) return found;
  }
  const begins = [...dict].some(
    ([name, value]) => typeof name === "string" && name.startsWith(`${path}.`) && isTensor(value),
  );
  return begins ? { value: dict as Map<PickleValue, PickleValue>, prefix: `${path}.` } : undefined;
}

/** Resolves a key within the state dict that would be chosen without a key. */
function descendUsual(root: Dict, path: string): Place | undefined {
  const found = usual(root);
  return found === null || found.key === "" ? undefined : descend(found.dict, path);
}

function refuseModule(value: PickleValue | undefined, { fail }: ChoiceOptions, key?: string): void {
  if (!(value instanceof ForeignObject) || !value.isModule) return;
  const problem = `expected a state dict, got a whole network pickled by torch.save(model) (${value.madeBy}), which only its own Python code can rebuild`;
  fail(problem, saveStateDictOf(key));
}

export function isTensor(value: PickleValue): value is TorchTensor | ForeignTensor {
  return value instanceof TorchTensor || value instanceof ForeignTensor;
}

function describeKeys(dict: Dict): string {
  const shown = Array.from(dict)
    .slice(0, MOST_KEYS_SHOWN)
    .map(
      ([key, value]) => `${typeof key === "string" ? quote(key) : describePickled(key)} (${describePickled(value)})`,
    );
  const rest = dict.size > shown.length ? ` and ${dict.size - shown.length} more` : "";
  return dict.size === 0 ? "no keys" : `the keys ${shown.join(", ")}${rest}`;
}
