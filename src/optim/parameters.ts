import { describeValue, itemsOf, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { handleOf, isTensor } from "../tensor/core.ts";
import type { Tensor } from "../tensor/index.ts";

/** Tensors, or named ones as `namedParameters()` gives them; names make the optimizer's state independent of the order. */
export type Parameters = Iterable<Tensor | readonly [string, Tensor]>;

/** Parameters with settings of their own; what is left out is the optimizer's. */
export interface ParameterGroup {
  params: Parameters;
  /** Its ratio to the optimizer's rate is kept when that is set. */
  lr?: number;
  weightDecay?: number;
}

/** A parameter with what the optimizer keeps for it. */
export interface Slot {
  /** The parameter's name, or its index among all parameters. */
  readonly name: string;
  readonly param: Tensor;
  /** Steps that this parameter took. */
  step: number;
  /** By torch's names; empty before the first step. */
  buffers: Record<string, Tensor>;
}

export interface Group {
  readonly slots: readonly Slot[];
  /** The group's rate as a multiple of the optimizer's. */
  readonly scale: number;
  readonly weightDecay: number;
}

interface Defaults {
  lr: number;
  weightDecay: number;
}

/** Reads parameters or groups of them; refuses what cannot be optimized. */
export function readGroups(
  operation: string,
  params: Parameters | Iterable<ParameterGroup>,
  defaults: Defaults,
): readonly Group[] {
  const expected = "tensors, [name, tensor] pairs or { params } groups";
  const items: readonly unknown[] = itemsOf<unknown>(`${operation}: params`, params, expected);
  const groups = items.some(isGroup) ? items : [{ params: items }];
  const seen = new Map<Tensor, string>();
  const read = groups.map((group) => {
    if (!isGroup(group))
      throw new BatchCamError("E_ARGUMENT", `${operation}: params mixes parameter groups and tensors`);
    return readGroup(operation, group, { defaults, seen });
  });
  if (seen.size === 0)
    throw new BatchCamError("E_ARGUMENT", `${operation}: params is empty; pass model.namedParameters()`);
  return read;
}

function isGroup(value: unknown): value is ParameterGroup {
  return typeof value === "object" && value !== null && "params" in value;
}

function readGroup(
  operation: string,
  group: ParameterGroup,
  context: { defaults: Defaults; seen: Map<Tensor, string> },
): Group {
  const { defaults, seen } = context;
  const { lr, weightDecay = defaults.weightDecay } = optionsOf(`${operation}: group`, group, [
    "params",
    "lr",
    "weightDecay",
  ]);
  expectSetting(operation, { weightDecay, ...(lr === undefined ? {} : { lr }) });
  if (lr !== undefined && defaults.lr === 0) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: a group with its own lr needs an optimizer lr > 0, to which it keeps its ratio`,
    );
  }
  const params = itemsOf<Tensor | readonly [string, Tensor]>(
    `${operation}: params`,
    group.params,
    "tensors or [name, tensor] pairs",
  );
  const slots = params.map((item) => readSlot(operation, item, seen));
  return { slots, weightDecay, scale: lr === undefined ? 1 : lr / defaults.lr };
}

function readSlot(operation: string, item: Tensor | readonly [string, Tensor], seen: Map<Tensor, string>): Slot {
  const [name, param]: readonly unknown[] = Array.isArray(item) ? item : [String(seen.size), item];
  if (typeof name !== "string" || !isTensor(param)) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `${operation}: params must hold tensors, [name, tensor] pairs or { params } groups, got ${describeValue(param)}`,
    );
  }
  handleOf(param, `${operation}: parameter "${name}"`);
  const problem = problemWith(name, param as Tensor, seen);
  if (problem !== undefined) throw new BatchCamError("E_ARGUMENT", `${operation}: parameter "${name}" ${problem}`);
  seen.set(param as Tensor, name);
  return { name, param: param as Tensor, step: 0, buffers: {} };
}

function problemWith(name: string, param: Tensor, seen: ReadonlyMap<Tensor, string>): string | undefined {
  if (!param.dtype.includes("float")) return `must be floating, got ${param.dtype}`;
  if (!param.isLeaf) return "is the result of recorded operations; optimize the tensor it was made from";
  if (seen.has(param)) return `is the same tensor as "${seen.get(param)}"; name each once`;
  if ([...seen.values()].includes(name)) return "shares its name with another";
  return undefined;
}

/** Fails with E_ARGUMENT unless every setting is finite and not negative. */
export function expectSetting(operation: string, settings: Record<string, number>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (Number.isFinite(value) && value >= 0) continue;
    throw new BatchCamError("E_ARGUMENT", `${operation}: ${name} must be a number >= 0, got ${describeValue(value)}`);
  }
}

/** Fails with E_ARGUMENT unless every setting lies in [0, 1). */
export function expectShare(operation: string, settings: Record<string, number>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === "number" && value >= 0 && value < 1) continue;
    throw new BatchCamError("E_ARGUMENT", `${operation}: ${name} must lie in [0, 1), got ${describeValue(value)}`);
  }
}
