import {
  arena,
  type CallArgument,
  type Handle,
  intern,
  type OperatorSchema,
  run,
  runWriting,
  type SchemaType,
} from "../engine/internal.ts";
import { handleOf, type TensorCore } from "./core.ts";
import { full } from "./create.ts";
import { codeOf, type DType } from "./dtype.ts";
import { Tensor } from "./tensor.ts";

/** An argument or a result of an operator. A list of tensors may contain absent ones. */
export type CallValue = Tensor | number | boolean | string | null | readonly CallValue[];

/** The positions of the arena that are filled when a call runs. */
interface Patch {
  readonly position: number;
  readonly slot: number;
  readonly kind: "tensor" | "number" | "scalar";
  readonly argument: string;
}

/**
 * A prepared call of an operator: its constant arguments are encoded once in the layout of the arena (see src/engine/dispatch.ts), and
 * the others are read from slots each time that it runs.
 */
export class OperatorCall {
  readonly operator: OperatorSchema;
  readonly #template: Float64Array;
  readonly #patches: readonly Patch[];
  readonly #single: boolean;
  readonly #writes: boolean;

  /**
   * @param args one for each argument of the schema; undefined for an argument that keeps its default
   * @throws Error with the argument and the kind of value that cannot be passed
   */
  constructor(operator: OperatorSchema, args: readonly (CallArgument | undefined)[]) {
    const encoder = new Encoder();
    for (const [i, { name, type, fallback }] of operator.args.entries()) {
      const argument = args[i] ?? fallback;
      if (argument === null) throw new Error(`its argument ${name} is missing`);
      encoder.put(name, type, argument);
    }
    this.operator = operator;
    this.#template = Float64Array.from(encoder.numbers);
    this.#patches = encoder.patches;
    const [first] = operator.returns;
    this.#single = operator.returns.length === 1 && first?.base === "Tensor" && first.lists === 0 && !first.optional;
    this.#writes = operator.args.some(({ type }) => type.writes);
  }

  /** Runs the operator, and returns its result, or a list of results if it has several. */
  run(slots: readonly CallValue[]): CallValue {
    const values = this.#patches.map(({ slot, kind, argument }) => {
      const value = slots[slot] as CallValue;
      return kind === "tensor" ? tensorHandle(value, `${this.operator.name}: ${argument}`) : value;
    });
    arena.set(this.#template);
    for (const [i, { position, kind }] of this.#patches.entries()) {
      const value = values[i];
      if (kind === "scalar") arena[position] = tagOf(value as number | boolean);
      arena[kind === "scalar" ? position + 1 : position] = value === null ? Number.NaN : Number(value);
    }
    const handle = this.#writes ? runWriting(this.operator.index) : run(this.operator.index);
    return this.#single ? new Tensor(handle) : readResults(this.operator.returns);
  }
}

/** Runs an operator once. An undefined argument gets its default. */
export function callOperator(operator: OperatorSchema, values: readonly (CallValue | undefined)[]): CallValue {
  const slots: CallValue[] = [];
  const argumentOf = (value: CallValue): CallArgument => {
    if (Array.isArray(value)) return { kind: "list", items: value.map(argumentOf) };
    if (value === null) return { kind: "none" };
    if (typeof value === "string") return { kind: "string", value };
    if (typeof value === "boolean") return { kind: "bool", value };
    if (typeof value === "number") return { kind: Number.isInteger(value) ? "int" : "float", value };
    return { kind: "slot", slot: slots.push(value) - 1 };
  };
  return new OperatorCall(
    operator,
    values.map((value) => (value === undefined ? undefined : argumentOf(value))),
  ).run(slots);
}

const tagOf = (value: number | boolean): number =>
  typeof value === "boolean" ? 2 : Number.isSafeInteger(value) ? 0 : 1;

/** The handle of a tensor. A number that is passed as a tensor is converted to a tensor without dimensions, as in torch. */
function tensorHandle(value: CallValue, place: string): number {
  if (value === null) return Number.NaN;
  if (typeof value !== "number" && typeof value !== "boolean") return handleOf(value as unknown as TensorCore, place);
  return handleOf(scalarTensor(value), place);
}

const scalarTensor = (value: number | boolean): Tensor =>
  full([], value, { dtype: typeof value === "boolean" ? "bool" : Number.isInteger(value) ? "int64" : "float64" });

function readResults(types: readonly SchemaType[]): CallValue {
  const numbers = Array.from(arena.subarray(0, resultLength(types)));
  let next = 0;
  const one = ({ base }: SchemaType): CallValue => {
    const value = numbers[next++] as number;
    if (base === "Tensor") return value < 0 ? null : new Tensor(value as Handle);
    return base === "bool" ? value !== 0 : value;
  };
  const results = types.map((type) => {
    if (type.lists === 0) return one(type);
    const count = numbers[next++] as number;
    return Array.from({ length: count }, () => one(type));
  });
  return results.length === 1 ? (results[0] as CallValue) : results;
}

/** The number of values in the arena that the results take. */
function resultLength(types: readonly SchemaType[]): number {
  let length = 0;
  for (const { lists } of types) length += 1 + (lists === 0 ? 0 : (arena[length] as number));
  return length;
}

/** libtorch's number of a dtype, a layout, a device or a memory format. */
export const CODES = {
  dtype: (dtype: DType): CallArgument => ({ kind: "code", value: codeOf(dtype) }),
  strided: { kind: "code", value: 0 } as CallArgument,
  device: (device: string): CallArgument => {
    const [type, index] = device.split(":");
    return { kind: "code", value: 256 * (type === "cpu" ? 0 : 1) + (index === undefined ? 0 : Number(index) + 1) };
  },
  memoryFormat: { contiguous: 0, preserve: 1, "channels-last": 2, "channels-last-3d": 3 },
} as const;

/** The types whose values are one number in the arena. */
const NUMBERS: readonly string[] = ["int", "SymInt", "float", "bool", "ScalarType", "Layout", "MemoryFormat", "Device"];

class Encoder {
  readonly numbers: number[] = [];
  readonly patches: Patch[] = [];

  put(name: string, type: SchemaType, argument: CallArgument): void {
    // The binding always passes the engine's own generator.
    if (type.base === "Generator") return;
    this.#put(name, type, argument, type.lists);
  }

  #put(name: string, type: SchemaType, argument: CallArgument, lists: number): void {
    if (lists > 0) this.#putList(name, type, argument, lists);
    else if (argument.kind === "none" && type.optional) this.numbers.push(Number.NaN);
    else if (type.base === "Tensor") this.#putTensor(name, type, argument);
    else if (type.base === "Scalar") this.#putScalar(name, type, argument);
    else if (type.base === "str" && argument.kind === "string") this.numbers.push(intern(argument.value));
    else if (NUMBERS.includes(type.base)) this.#putNumber(name, type, argument);
    else throw unfit(name, type, argument);
  }

  #putList(name: string, type: SchemaType, argument: CallArgument, lists: number): void {
    if (argument.kind === "none" && type.optionalList) {
      this.numbers.push(Number.NaN);
      return;
    }
    // A single number means a list of the length that the schema names.
    const items = argument.kind === "list" ? argument.items : Array<CallArgument>(type.length ?? 1).fill(argument);
    this.numbers.push(items.length);
    for (const item of items) this.#put(name, type, item, lists - 1);
  }

  #putTensor(name: string, type: SchemaType, argument: CallArgument): void {
    if (argument.kind !== "slot") throw unfit(name, type, argument);
    this.#patch("tensor", argument.slot, name);
  }

  #putScalar(name: string, type: SchemaType, argument: CallArgument): void {
    if (argument.kind === "slot") {
      this.#patch("scalar", argument.slot, name);
      this.numbers.push(0);
    } else if (argument.kind === "bool") this.numbers.push(2, Number(argument.value));
    else if (argument.kind === "int") this.numbers.push(0, argument.value);
    else if (argument.kind === "float") this.numbers.push(1, argument.value);
    else throw unfit(name, type, argument);
  }

  #putNumber(name: string, type: SchemaType, argument: CallArgument): void {
    if (argument.kind === "slot") this.#patch("number", argument.slot, name);
    else if (argument.kind === "none" || argument.kind === "string" || argument.kind === "list")
      throw unfit(name, type, argument);
    else this.numbers.push(Number(argument.value));
  }

  #patch(kind: Patch["kind"], slot: number, argument: string): void {
    this.patches.push({ position: this.numbers.length, slot, kind, argument });
    this.numbers.push(0);
  }
}

const unfit = (name: string, type: SchemaType, argument: CallArgument): Error =>
  new Error(`its argument ${name} is of type ${type.text}, and ${argument.kind} cannot be passed as that`);
