import { outputNames, valueNames } from "./aliases.ts";
import type { CellAxes } from "./cell-axes.ts";
import { argumentOf } from "./model-head.ts";
import type { Argument, Node, Sizes, ValueName } from "./program.ts";

/** A value that a node reads. */
export interface Operand {
  /** Null if its cells are not known. */
  readonly axes: CellAxes | null;
  /** Null if the file does not say. */
  readonly sizes: Sizes | null;
}

/** A node and the cells of what it reads. */
export class NodeCells {
  readonly #node: Node;
  readonly #found: ReadonlyMap<ValueName, CellAxes>;
  readonly #sizes: ReadonlyMap<ValueName, Sizes>;

  constructor(node: Node, found: ReadonlyMap<ValueName, CellAxes>, sizes: ReadonlyMap<ValueName, Sizes> = new Map()) {
    this.#node = node;
    this.#found = found;
    this.#sizes = sizes;
  }

  /** The tensors that it reads, in the order of its arguments. */
  get operands(): readonly Operand[] {
    const names = this.#node.inputs.flatMap(({ argument }) => valueNames(argument));
    return names.map((name) => ({ axes: this.#found.get(name) ?? null, sizes: this.#sizes.get(name) ?? null }));
  }

  /** The first tensor that it reads. */
  get main(): Operand {
    return this.operands[0] ?? { axes: null, sizes: null };
  }

  /** The sizes of its first result. */
  get result(): Sizes | null {
    const [name] = this.#node.outputs.flatMap(outputNames);
    return name === undefined ? null : (this.#sizes.get(name) ?? null);
  }

  number(name: string, fallback: number): number {
    return numberOf(argumentOf(this.#node, name)) ?? fallback;
  }

  /** A list of numbers, or one number as a list; null for one that the file leaves open. */
  numbers(name: string): (number | null)[] {
    const given = argumentOf(this.#node, name);
    if (given === undefined || given.kind === "none") return [];
    return (given.kind === "list" ? given.items : [given]).map(numberOf);
  }

  flag(name: string): boolean {
    const given = argumentOf(this.#node, name);
    return given?.kind === "bool" && given.value;
  }

  /** A dimension counted from the front; NaN if that cannot be known. */
  dimension(dim: number | null, count = this.main.sizes?.length ?? Number.NaN): number {
    return dim === null ? Number.NaN : dim < 0 ? dim + count : dim;
  }
}

const numberOf = (given: Argument | undefined): number | null =>
  given?.kind === "int" || given?.kind === "float" ? given.value : null;
