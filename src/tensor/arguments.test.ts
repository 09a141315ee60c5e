import { describe, expect, it } from "vitest";
import { BatchCamError } from "../errors.ts";
import * as engine from "./index.ts";
import { Tensor, tensor, tidy, zeros } from "./index.ts";

/** What a program without types may pass where a tensor, a number, a list or an option is expected. */
function junk(): unknown[] {
  const gone = zeros([2]);
  gone.dispose();
  return [
    undefined,
    null,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    0,
    1.5,
    2 ** 40,
    2 ** 53,
    "",
    "1",
    "float32",
    true,
    3n,
    Symbol("x"),
    () => 1,
    {},
    [],
    [Number.NaN],
    ["1"],
    [-7],
    [1.5],
    [[1]],
    [undefined],
    [3n],
    new Date(0),
    new Map(),
    new Float32Array(2),
    Object.create(Tensor.prototype),
    gone,
    [gone],
    zeros([0]),
    zeros([2, 3]),
    tensor([true, false]),
    tensor([5n]),
    tensor([-9n]),
    tensor(1.5, { dtype: "float64" }),
    [zeros([2]), zeros([3])],
  ];
}

/** Calls and classifies: a value, or what was thrown; anything but a BatchCamError is a failure of the engine. */
function outcome(call: () => unknown): string | undefined {
  try {
    tidy(() => void call());
  } catch (error) {
    if (error instanceof BatchCamError) return undefined;
    // No options: JavaScript's own message names the option.
    if (
      error instanceof TypeError &&
      /Cannot (destructure property|read properties of (null|undefined))/.test(error.message)
    )
      return undefined;
    return String(error);
  }
  return undefined;
}

function show(value: unknown): string {
  try {
    return value instanceof Tensor ? String(value) : typeof value === "symbol" ? "symbol" : `${typeof value} ${value}`;
  } catch {
    return typeof value;
  }
}

const target = () =>
  tensor([
    [1, 2],
    [3, 4],
  ]);
const names = (object: object) => Object.getOwnPropertyNames(object).filter((name) => name !== "constructor");
const members = [...new Set([...names(Tensor.prototype), ...names(Object.getPrototypeOf(Tensor.prototype))])];
const isMethod = (name: string) => typeof Object.getOwnPropertyDescriptor(Tensor.prototype, name)?.value === "function";
const methods = members.filter(isMethod);

describe("junk for arguments", () => {
  it.each(methods)("ends in a BatchCamError or a result (tensor.%s)", (name) => {
    const failures: string[] = [];
    tidy(() => {
      const values = junk();
      for (const first of values) {
        for (const second of values) {
          const self = target() as unknown as Record<string, (...args: unknown[]) => unknown>;
          const problem = outcome(() => self[name]?.(first, second, second));
          if (problem) failures.push(`${name}(${show(first)}, ${show(second)}): ${problem}`);
        }
      }
    });
    expect(failures).toEqual([]);
  });

  const functions = Object.entries(engine).filter(
    ([name, value]) =>
      typeof value === "function" &&
      !/^(Tensor|keep|manualSeed|setNumThreads|resetPeak|load|save|readSafetensors)/.test(name),
  ) as [string, (...args: unknown[]) => unknown][];

  it.each(functions)("ends in a BatchCamError or a result (%s)", (name, call) => {
    const failures: string[] = [];
    tidy(() => {
      const values = junk();
      const tensors = [target(), zeros([2, 1, 4, 4])];
      for (const first of [...values, ...tensors]) {
        for (const second of [...values, ...tensors]) {
          for (const rest of [[], [{ size: second, dtype: second }], [second, { stride: second, shape: second }]]) {
            const problem = outcome(() => call(first, second, ...rest));
            if (problem) failures.push(`${name}(${show(first)}, ${show(second)}): ${problem}`);
          }
        }
      }
    });
    expect([...new Set(failures)]).toEqual([]);
    expect(engine.isGradEnabled()).toBe(true);
  });

  it("leaves the engine in working order", () => {
    expect(target().matmul(target())).toBeAllclose([
      [7, 10],
      [15, 22],
    ]);
    expect(engine.conv2d(engine.ones([1, 1, 3, 3]), engine.ones([1, 1, 3, 3])).dtype).toBe("float32");
  });

  it.each(["requiresGrad", "grad"])("is refused by the setter of %s", (name) => {
    for (const value of junk()) {
      const self = target() as unknown as Record<string, unknown>;
      expect(
        outcome(() => {
          self[name] = value;
        }),
      ).toBeUndefined();
    }
  });
});

describe("setNumThreads", () => {
  it("takes a positive integer and no junk", () => {
    const before = engine.getNumThreads();
    engine.setNumThreads(1);
    expect(engine.getNumThreads()).toBe(1);
    engine.setNumThreads(before);
    for (const value of [0, -1, 1.5, Number.NaN, "2", null, undefined, 3n, 1e9, {}]) {
      expect(() => engine.setNumThreads(value as never)).toThrow(BatchCamError);
    }
    expect(engine.getNumThreads()).toBe(before);
  });
});
