import { expectMap, expectString } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type DType, noGrad, Tensor } from "../tensor/index.ts";
import { expectTensor } from "../tensor/internal.ts";
import { mark, type Role, roleOf } from "./parameter.ts";

/** A module of a tree. This file does not import `Module`, whose state it reads and writes. */
export interface Visit {
  readonly path: string;
  /** The object whose properties the module's children and tensors are: the module itself, or its record of parts. */
  readonly holder: object;
}

/** A property of a module, or of its record of parts, whose value is a tensor with a role. */
export interface TensorSlot {
  readonly owner: object;
  readonly key: string;
  readonly tensor: Tensor;
  readonly role: Role;
}

/** The tensors with a role among the properties of an object, in the order of their declaration. */
export function slotsOf(owner: object): TensorSlot[] {
  return Object.entries(owner).flatMap(([key, tensor]) => {
    const role = tensor instanceof Tensor ? roleOf(tensor) : undefined;
    return role === undefined ? [] : [{ owner, key, tensor, role }];
  });
}

/** Tensors of some roles under their state-dict names; a shared tensor has several. */
function* namedTensors(tree: Iterable<Visit>, roles: readonly Role[]): Generator<[string, Tensor]> {
  for (const { path, holder } of tree) {
    const slots = slotsOf(holder);
    for (const wanted of roles)
      for (const { key, tensor, role } of slots)
        if (role === wanted) yield [path === "" ? key : `${path}.${key}`, tensor];
  }
}

/** Every parameter and buffer of a tree under torch's names, in torch's order. */
export const stateOf = (tree: Iterable<Visit>): Map<string, Tensor> =>
  new Map(namedTensors(tree, ["parameter", "buffer"]));

/** The tensors of some roles under their state-dict names; a shared one once, under its first name. */
export function tensorsOf(tree: Iterable<Visit>, ...roles: readonly Role[]): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  const seen = new Set<Tensor>();
  for (const [name, tensor] of namedTensors(tree, roles)) {
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    found.set(name, tensor);
  }
  return found;
}

export interface LoadReport {
  /** Names of the module that are missing in the loaded state. */
  missing: string[];
  /** Names of the loaded state that the module does not have. */
  unexpected: string[];
}

/** The text of an error of `loadStateDict` without its advice, for callers whose users cannot give that option. */
export const withoutStrictAdvice = (text: string): string => text.replace(/; pass \{ strict: false \} .*$/, "");

/** Copies `state` into `target` by name; see Module.loadStateDict. */
export function loadTensors(
  target: ReadonlyMap<string, Tensor>,
  state: ReadonlyMap<string, Tensor>,
  { strict, owner }: { strict: boolean; owner: string },
): LoadReport {
  expectMap("loadStateDict: state", state);
  for (const name of state.keys()) expectString("loadStateDict: a tensor's name", name);
  const missing = [...target.keys()].filter((name) => !state.has(name) && !name.endsWith("num_batches_tracked"));
  const unexpected = [...state.keys()].filter((name) => !target.has(name));
  if (strict && missing.length + unexpected.length > 0) {
    const parts = [describe("missing", missing), describe("unexpected", unexpected)].filter((part) => part !== "");
    throw new BatchCamError(
      "E_CHECKPOINT",
      `loadStateDict: the state does not fit ${owner}: ${parts.join("; ")}; pass { strict: false } to load what fits`,
    );
  }
  const pairs = [...target].flatMap(([name, tensor]) => {
    const value = state.get(name);
    if (value === undefined) return [];
    expectTensor(value, `loadStateDict: ${name}`);
    return [{ name, tensor, value }];
  });
  expectSameShapes(pairs, owner);
  noGrad(() => {
    for (const { tensor, value } of pairs) tensor.copy_(value);
  });
  return { missing, unexpected };
}

function expectSameShapes(pairs: readonly { name: string; tensor: Tensor; value: Tensor }[], owner: string): void {
  const wrong = pairs.filter(({ tensor, value }) => tensor.sizes.join() !== value.sizes.join());
  if (wrong.length === 0) return;
  const list = wrong.map(
    ({ name, tensor, value }) =>
      `${name} is [${tensor.sizes.join(", ")}] here and [${value.sizes.join(", ")}] in the state`,
  );
  throw new BatchCamError("E_SHAPE", `loadStateDict: the state does not fit ${owner}: ${firstTen(list, "; ")}`);
}

function describe(kind: string, names: readonly string[]): string {
  return names.length === 0 ? "" : `${names.length} ${kind} (${firstTen(names, ", ")})`;
}

function firstTen(items: readonly string[], separator: string): string {
  return items.slice(0, 10).join(separator) + (items.length > 10 ? `${separator}... ${items.length - 10} more` : "");
}

const FLOATING: readonly string[] = ["float32", "float64", "bfloat16", "float16"] satisfies DType[];
const OTHER: readonly string[] = ["int64", "int32", "int16", "int8", "uint8", "bool"] satisfies DType[];

/** Replaces the tensors of a module tree by converted ones. On a failure nothing changes. */
export function replaceTensors(slots: readonly TensorSlot[], targets: readonly string[]): void {
  for (const target of targets) expectString("Module.to: target", target);
  const wrong = targets.find((target) => OTHER.includes(target));
  if (wrong !== undefined) {
    throw new BatchCamError(
      "E_DTYPE",
      `Module.to: weights need one of ${FLOATING.join(", ")} (or a device), got ${wrong}`,
    );
  }
  const converted = new Map(slots.map(({ tensor }) => [tensor, convert(tensor, targets)]));
  for (const { owner, key, tensor, role } of slots) {
    const made = converted.get(tensor) as Tensor;
    if (made === tensor) continue;
    made.requiresGrad = tensor.requiresGrad;
    (owner as Record<string, Tensor>)[key] = mark(made, role);
  }
  for (const [tensor, made] of converted) if (made !== tensor) tensor.dispose();
}

function convert(tensor: Tensor, targets: readonly string[]): Tensor {
  const floating = FLOATING.includes(tensor.dtype);
  let value = tensor;
  for (const target of targets) {
    const unchanged = FLOATING.includes(target) ? !floating || value.dtype === target : value.device === target;
    if (unchanged) continue;
    const next = noGrad(() => value.to(target));
    if (value !== tensor) value.dispose();
    value = next;
  }
  return value;
}
