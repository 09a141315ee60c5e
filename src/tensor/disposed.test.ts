import { describe, expect, it } from "vitest";
import { BatchCamError } from "../errors.ts";
import { type Tensor, tensor } from "./index.ts";

/** The members that still work after the tensor was disposed. */
const ALWAYS = new Set<PropertyKey>([
  ...["constructor", "toString", "isDisposed", "dispose"],
  ...[Symbol.dispose, Symbol.for("nodejs.util.inspect.custom")],
]);
const other = tensor([
  [1, 2],
  [3, 4],
]);
/** Arguments for any method. Each method checks its tensor before it reads the values of its arguments. */
const ARGUMENTS: readonly (readonly unknown[])[] = [[], [0], [other], [[0, 1]], [0, 1], [0, other], ["cpu"]];

const gone = (): Tensor => {
  const made = tensor([
    [1, 2],
    [3, 4],
  ]);
  made.dispose();
  return made;
};

/** Every public member of the prototypes, with a function that calls it. */
function members(): [name: string, calls: ((of: Tensor) => unknown)[]][] {
  const found = new Map<PropertyKey, PropertyDescriptor>();
  for (let at = Object.getPrototypeOf(other); at !== Object.prototype; at = Object.getPrototypeOf(at))
    for (const key of Reflect.ownKeys(at))
      if (!found.has(key)) found.set(key, Object.getOwnPropertyDescriptor(at, key) as PropertyDescriptor);
  return Array.from(found).flatMap(([key, { value, get, set }]) => {
    if (ALWAYS.has(key)) return [];
    const methods = typeof value === "function" ? ARGUMENTS.map((list) => (of: Tensor) => value.apply(of, list)) : [];
    const getter = get === undefined ? [] : [(of: Tensor) => get.call(of)];
    const setter = set === undefined ? [] : [(of: Tensor) => set.call(of, true)];
    return [[String(key), [...methods, ...getter, ...setter]]];
  });
}

function failureOf(call: (of: Tensor) => unknown): BatchCamError {
  try {
    call(gone());
  } catch (error) {
    if (error instanceof BatchCamError) return error;
    throw error;
  }
  throw new Error("it answered");
}

describe("a disposed tensor", () => {
  it.each(members())("says of %s that the tensor was disposed, under that name", (name, calls) => {
    const failures = calls.map(failureOf);
    expect(new Set(failures.map(({ operation }) => operation))).toEqual(new Set([name]));
    expect(failures.map(({ code }) => code)).toContain("E_DISPOSED");
  });

  it("is what more than a hundred members were asked about", () => {
    expect(members().length).toBeGreaterThan(100);
  });

  it("still tells that it is disposed, prints, and may be disposed again", () => {
    const x = gone();
    x.dispose();
    expect([x.isDisposed, String(x)]).toEqual([true, "tensor(disposed)"]);
  });
});
