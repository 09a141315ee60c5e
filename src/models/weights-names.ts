import { counted, wordFor } from "../counted.ts";
import type { Tensor } from "../tensor/index.ts";
import { FAMILIES } from "./families.ts";
import type { Dialect } from "./family.ts";

/** Weights under the names of this project's models, and the changes that were made. */
export interface NamedWeights {
  weights: Map<string, Tensor>;
  /** One sentence for each change. */
  notes: string[];
}

const DIALECTS = FAMILIES.flatMap(({ dialects }) => dialects);

/** Prefixes that wrappers of a model (DataParallel, torch.compile and ModelEma) add to every name. They do not depend on the model. */
const WRAPPERS = ["module", "_orig_mod"];
/** Names that training code usually gives to the attribute with its model. */
const HOLDERS = ["model", "backbone", "net", "network", "encoder", "base_model", "ema_model", "model_ema"];

/**
 * Translates names to those of torchvision and timm. Prefixes that all names share are removed, several if they are nested
 * ("module._orig_mod."), and the names of transformers and of the ConvNeXt authors are translated. The tensors are not changed.
 */
export function namesOfModels(weights: ReadonlyMap<string, Tensor>): NamedWeights {
  const notes: string[] = [];
  const { names, taken } = withoutPrefixes([...weights.keys()]);
  const held = taken.filter((prefix) => !WRAPPERS.includes(prefix));
  if (held.length > 0) notes.push(`the prefix "${held.join(".")}." was removed from every name`);
  const dialect = DIALECTS.find(({ sign }) => names.some((name) => sign.test(name)));
  const translated = dialect === undefined ? names : names.map((name) => translate(name, dialect));
  if (dialect !== undefined) notes.push(`the names of ${dialect.of} are read as ${dialect.as}'s`);
  const plain = withoutHeadIndex(new Set(translated).size === names.length ? translated : names);
  if (plain !== translated && plain !== names) notes.push("the head is the one linear layer of a sequence");
  return { weights: new Map([...weights.values()].map((tensor, i) => [plain[i] as string, tensor])), notes };
}

function withoutPrefixes(original: readonly string[]): { names: string[]; taken: string[] } {
  let names = [...original];
  const taken: string[] = [];
  for (let prefix = sharedPrefix(names); prefix !== null; prefix = sharedPrefix(names)) {
    const shorter = names.map((name) => name.slice(prefix.length + 1));
    if (![...WRAPPERS, ...HOLDERS].includes(prefix) && !isKnown(shorter)) break;
    names = shorter;
    taken.push(prefix);
  }
  return { names, taken };
}

/** The part before the first dot, if it is the same for all names; null otherwise. */
function sharedPrefix(names: readonly string[]): string | null {
  const prefix = /^([^.]+)\./.exec(names[0] ?? "")?.[1];
  return prefix !== undefined && names.every((name) => name.startsWith(`${prefix}.`)) ? prefix : null;
}

/** Whether names are those of one of the project's families, either directly or after translation. */
function isKnown(names: readonly string[]): boolean {
  return [...DIALECTS, ...FAMILIES].some(({ sign }) => names.some((name) => sign.test(name)));
}

/** Translates a name by the first rule that matches it. A name that no rule matches is not changed. */
function translate(name: string, { rules, prefix }: Dialect): string {
  const inner = prefix === undefined ? name : name.replace(prefix, "");
  for (const [pattern, rule] of rules) {
    const found = pattern.exec(inner);
    if (found !== null) return rule(...found.slice(1));
  }
  return name;
}

/** The head's path and an index, as in `fc.1.weight` of a Sequential(Dropout, Linear). */
const HEAD_IN_SEQUENCE = new RegExp(
  `^(${[...new Set(FAMILIES.flatMap(({ heads }) => heads))].map((path) => path.replaceAll(".", "\\.")).join("|")})\\.(\\d+)\\.(weight|bias)$`,
);

/** Removes the index from the head's names, `fc.1.weight` to `fc.weight`, if only one layer of the sequence has weights. */
function withoutHeadIndex(names: readonly string[]): readonly string[] {
  const parts = names.flatMap((name) => HEAD_IN_SEQUENCE.exec(name)?.slice(1, 3).join(".") ?? []);
  if (new Set(parts).size !== 1 || parts.length > 2) return names;
  return names.map((name) => name.replace(HEAD_IN_SEQUENCE, "$1.$3"));
}

/** Advice for weights of which most names, but not all, begin with the same prefix; "" if no prefix is that common. */
export function prefixHint(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) {
    const prefix = /^([^.]+)\./.exec(name)?.[1];
    if (prefix !== undefined) counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
  }
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
  if (most === undefined || most[1] === names.length) return "";
  let [key] = most;
  for (let next = sharedPrefix(innerNames(names, key)); next !== null; next = sharedPrefix(innerNames(names, key)))
    key = `${key}.${next}`;
  if (!isKnown(innerNames(names, key))) return "";
  return `; ${most[1]} of the ${counted(names.length, "name")} ${wordFor(most[1], "begins", "begin")} with "${key}.": read those alone by weightsKey "${key}"`;
}

const innerNames = (names: readonly string[], prefix: string): string[] =>
  names.filter((name) => name.startsWith(`${prefix}.`)).map((name) => name.slice(prefix.length + 1));
