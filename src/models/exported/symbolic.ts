import type { CallValue } from "../../tensor/internal.ts";

// Numbers that depend on the sizes of the images: Python's operators on integers, which a graph calls by name.

type Numbers = readonly number[];

const floorMod = (a: number, b: number): number => a - b * Math.floor(a / b);
/** Python rounds halves to even. */
const round = (a: number): number => (Math.abs(a % 1) === 0.5 ? 2 * Math.round(a / 2) : Math.round(a));

const FUNCTIONS: Readonly<Record<string, (...values: number[]) => number | boolean>> = {
  "_operator.add": (a, b) => a + b,
  "_operator.sub": (a, b) => a - b,
  "_operator.mul": (a, b) => a * b,
  "_operator.floordiv": (a, b) => Math.floor(a / b),
  "_operator.truediv": (a, b) => a / b,
  "_operator.mod": floorMod,
  "_operator.pow": (a, b) => a ** b,
  "_operator.neg": (a) => -a,
  "_operator.pos": (a) => a,
  "_operator.abs": Math.abs,
  "_operator.lshift": (a, b) => a * 2 ** b,
  "_operator.rshift": (a, b) => Math.floor(a / 2 ** b),
  "_operator.eq": (a, b) => a === b,
  "_operator.ne": (a, b) => a !== b,
  "_operator.lt": (a, b) => a < b,
  "_operator.le": (a, b) => a <= b,
  "_operator.gt": (a, b) => a > b,
  "_operator.ge": (a, b) => a >= b,
  "_operator.and_": (a, b) => Boolean(a) && Boolean(b),
  "_operator.or_": (a, b) => Boolean(a) || Boolean(b),
  "_operator.not_": (a) => !a,
  "math.trunc": Math.trunc,
  "math.floor": Math.floor,
  "math.ceil": Math.ceil,
  "math.sqrt": Math.sqrt,
  "builtins.round": round,
  "builtins.abs": Math.abs,
  "builtins.max": Math.max,
  "builtins.min": Math.min,
  "torch.sym_max": Math.max,
  "torch.sym_min": Math.min,
  "torch.sym_not": (a) => !a,
  "torch.sym_float": (a) => a,
  "torch.sym_int": Math.trunc,
  "torch.sym_ite": (condition, a, b) => (condition ? (a as number) : (b as number)),
  "torch.sym_sum": (...values) => values.reduce((sum, value) => sum + value, 0),
  "torch._sym_sqrt": Math.sqrt,
};

/** Other names of some functions in Python, depending on the version that wrote the file. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  "torch.sym_sqrt": "torch._sym_sqrt",
  "torch._sym_max": "torch.sym_max",
  "torch._sym_min": "torch.sym_min",
  "builtins.float": "torch.sym_float",
  "builtins.int": "torch.sym_int",
  "builtins.round": "builtins.round",
};

/** The function on numbers that a target names; null for any other target. */
export function numberFunction(target: string): ((values: readonly CallValue[]) => number | boolean) | null {
  const name = OTHER_NAMES[target] ?? target;
  const compute = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  return compute === undefined ? null : (values) => compute(...(values.flat() as unknown as Numbers));
}

/** Targets that read a size of a tensor. */
export const SIZE_TARGETS: readonly string[] = ["aten.sym_size.int", "aten.sym_numel.default", "aten.sym_stride.int"];
