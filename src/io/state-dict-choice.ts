import { SAVE_STATE_DICT, saveStateDictOf } from "./foreign-formats.ts";
import { describePickled, ForeignObject, type PickleValue } from "./pickle-value.ts";
import { quote } from "./safetensors-json.ts";
import type { Fail } from "./tensor-file.ts";
import { ForeignTensor, TorchTensor } from "./torch-globals.ts";

export type Dict = ReadonlyMap<PickleValue, PickleValue>;

/** A state dict in a checkpoint. */
export interface ChosenDict {
  readonly dict: Dict;
  /** Names to leave out before those that are read: "backbone." for the key "backbone" of names such as "backbone.conv1.weight". */
  readonly prefix: string;
  /** The keys that lead to it, joined by dots; "" for the file's own entries. */
  readonly key: string;
  /** Other entries of the file that hold weights too. */
  readonly others: readonly string[];
}

export interface ChoiceOptions {
  /** Which entry holds the weights, by its key, or by keys joined by dots. */
  key: string | undefined;
  /** How the caller is told to name the key: "the option key". */
  keyOption: string;
  fail: Fail;
}

/** Where a checkpoint's weights are, unless a key says otherwise: the first of these that holds tensors. Averages come last. */
const USUAL_KEYS = [
  ..."state_dict model_state_dict model model_state net network module weights params".split(" "),
  ..."state_dict_ema model_ema ema_state_dict ema params_ema".split(" "),
];

/** Checkpoints are nested this deep at most where no key is given: {"ema": {"module": {...}}}. */
const MOST_DEPTH = 3;
const MOST_KEYS_SHOWN = 20;

/** The state dict that a checkpoint's value holds, by its key or by the rule of `USUAL_KEYS`. */
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
 * The dict's own entries where they are tensors, else those of the first usual key.
 *
 * @param known what was found of the dicts looked at so far, so that a dict within itself costs nothing
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

/** Mostly tensors: a few other values beside them are passed over. */
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
 * What a key names in a dict: an entry, an entry of an entry ("ema.module"), or the names that begin with it ("backbone" for
 * "backbone.conv1.weight"). Keys may hold dots themselves, so that every division of a path is tried.
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

/** The same within the state dict that would be read without a key. */
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
