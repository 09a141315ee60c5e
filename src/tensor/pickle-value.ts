/** What a pickle can make here: plain data, and nothing with behaviour. Bytes, sets and the like are Opaque. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Tuple
  | Opaque;

export class Tuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** A value that no one looks into; `kind` names it in messages. */
export class Opaque {
  readonly kind: string;
  constructor(kind: string) {
    this.kind = kind;
  }
}

/** A function of the allow-list. It must take time and memory in proportion to nothing but its own result. */
export class Callable extends Opaque {
  readonly call: (args: readonly PickleValue[]) => PickleValue;
  constructor(name: string, call: (args: readonly PickleValue[]) => PickleValue) {
    super(name);
    this.call = call;
  }
}

/** A class or function that is not known here. It is never looked up; "calling" it makes a `ForeignObject`. */
export class ForeignName extends Opaque {}

/** What a class or function that is not known here would have made in Python: data beside the weights, never looked into. */
export class ForeignObject extends Opaque {
  /** The dotted name of the class or function. */
  readonly madeBy: string;
  /** Whether it is a network of torch.nn, pickled whole. */
  isModule = false;
  constructor(madeBy: string) {
    super(`an object of ${madeBy}`);
    this.madeBy = madeBy;
  }
}

export function describePickled(value: PickleValue | undefined): string {
  if (value === null || value === undefined) return "None";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Map) return "a dict";
  if (value instanceof Tuple) return "a tuple";
  if (value instanceof Opaque) return value.kind;
  return typeof value === "bigint" ? "a number" : `a ${typeof value}`;
}
