import { BatchCamError } from "../errors.ts";

// This file prints modules in torch's format.

/** The part of a module that printing needs. This file does not import `Module`, which prints itself. */
interface Printable {
  typeName(): string;
  extraRepr(): string;
}

/** A module with its children, each on lines of its own. A module that contains itself is not printed again. */
export function printedTree<M extends Printable>(
  module: M,
  childrenOf: (module: M) => Iterable<[path: string, child: M]>,
  ancestors: readonly M[] = [],
): string {
  const line = [...ancestors, module];
  const children = [...childrenOf(module)]
    .filter(([, child]) => !line.includes(child))
    .map(([path, child]) => [path, printedTree(child, childrenOf, line)] as const);
  return treeText(module.typeName(), settingsOf(module), children);
}

function settingsOf(module: Printable): string {
  try {
    return module.extraRepr();
  } catch (error) {
    // Printing must not fail for a model whose tensors were disposed.
    if (error instanceof BatchCamError && error.code === "E_DISPOSED") return "disposed";
    throw error;
  }
}

/** A module's name and settings on one line, and its children on the lines below, indented by two spaces. */
function treeText(name: string, settings: string, children: readonly (readonly [string, string])[]): string {
  if (children.length === 0) return `${name}(${settings})`;
  const lines = children.map(([path, text]) => `(${path}): ${text.replaceAll("\n", "\n  ")}`);
  return `${name}(\n  ${[...(settings === "" ? [] : [settings]), ...lines].join("\n  ")}\n)`;
}

type Setting = number | boolean | string | null | readonly number[];

/** "64, eps=1e-05, affine=True": positional values, then settings by name, all in Python's notation. */
export function settingsText(values: readonly Setting[], named: Readonly<Record<string, Setting>> = {}): string {
  const settings = Object.entries(named).map(([name, value]) => `${name}=${pythonText(value)}`);
  return [...values.map(pythonText), ...settings].join(", ");
}

function pythonText(value: Setting): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return `'${value}'`;
  if (typeof value === "number") return numberText(value);
  return value.length === 1 ? `(${numberText(value[0] as number)},)` : `(${value.map(numberText).join(", ")})`;
}

function numberText(value: number): string {
  const small = value !== 0 && Math.abs(value) < 1e-4;
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  return small ? `${digits}e-${exponent.slice(1).padStart(2, "0")}` : String(value);
}
