import { describe, expect, it } from "vitest";
import { native } from "../engine/addon.ts";
import { findOperator, type OperatorSchema, parseSchema } from "../engine/schema.ts";
import { arange, manualSeed, ones, type Tensor, tensor, tidy, zeros } from "./index.ts";
import { type CallValue, callOperator, OperatorCall } from "./operator-call.ts";

const operator = (name: string, overload = ""): OperatorSchema =>
  findOperator(`aten::${name}`, overload) as OperatorSchema;
const call = (name: string, overload: string, ...values: (CallValue | undefined)[]): CallValue =>
  callOperator(operator(name, overload), values);
const values = (result: CallValue): number[] => Array.from((result as Tensor).to("float64").data(), Number);

describe("schemas of operators", () => {
  it("are read with types, defaults and aliases", () => {
    const { args, returns } = parseSchema(
      'aten::f.g(Tensor(a!) self, Tensor?[] indices, SymInt[2] stride=1, *, ScalarType? dtype=None, str mode="none", float eps=1.0000000000000001e-05) -> (Tensor(a!), int[])',
    );
    expect(args.map(({ name }) => name)).toEqual(["self", "indices", "stride", "dtype", "mode", "eps"]);
    expect(args[0]?.type).toMatchObject({ base: "Tensor", alias: "a", writes: true, lists: 0 });
    expect(args[1]?.type).toMatchObject({ base: "Tensor", optional: true, lists: 1, optionalList: false });
    expect(args[2]).toMatchObject({
      type: { base: "SymInt", lists: 1, length: 2 },
      fallback: { kind: "int", value: 1 },
    });
    expect(args.slice(3).map(({ fallback }) => fallback)).toEqual([
      { kind: "none" },
      { kind: "string", value: "none" },
      { kind: "float", value: 1e-5 },
    ]);
    expect(returns).toMatchObject([
      { base: "Tensor", writes: true },
      { base: "int", lists: 1 },
    ]);
  });

  it("are read of every operator of this libtorch", () => {
    const variadic = /\.\.\./; // the internal ones of static_runtime
    const wrong = native.schemas().filter((text) => {
      if (variadic.test(text)) return false;
      const { args, returns } = parseSchema(text);
      const isNumber = (value: unknown) => typeof value !== "number" || !Number.isNaN(value);
      const defaults = args.every(
        ({ fallback }) => fallback === null || !("value" in fallback) || isNumber(fallback.value),
      );
      return !defaults || [...args.map(({ type }) => type), ...returns].some(({ base }) => base === "");
    });
    expect(wrong).toEqual([]);
  });

  it("are null for what this libtorch does not have", () => {
    expect(findOperator("aten::relu", "no_such_overload")).toBeNull();
    expect(findOperator("nobody::relu", "")).toBeNull();
  });
});

describe("calls by schema", () => {
  it("pass every kind of argument", () =>
    tidy(() => {
      const x = arange(0, 12, { dtype: "float32" }).reshape([3, 4]);
      // Tensor?[] with absent ones
      expect(values(call("index", "Tensor", x, [null, tensor([0, 3], { dtype: "int64" })]))).toEqual([
        0, 3, 4, 7, 8, 11,
      ]);
      // dtype, device, layout, memory format
      expect((call("arange", "start", 1, 4, 7, 0, 0) as Tensor).dtype).toBe("float64");
      expect(values(call("clone", "", x, 0))).toEqual(values(x));
      // a list of booleans, of scalars, of floats, of strings
      const scale = call("upsample_nearest2d", "vec", x.reshape([1, 1, 3, 4]), null, [2, 2]) as Tensor;
      expect(scale.shape).toEqual([1, 1, 6, 8]);
      // a single number for int[2], a boolean, a scalar
      expect((call("max_pool2d", "", x.reshape([1, 1, 3, 4]), 2, 1, 0, 1, true) as Tensor).shape).toEqual([1, 1, 2, 3]);
      expect(values(call("clamp", "", x, 2, 5)).slice(0, 7)).toEqual([2, 2, 2, 3, 4, 5, 5]);
      // a string
      expect((call("gelu", "", x, "tanh") as Tensor).shape).toEqual([3, 4]);
    }));

  it("give tensors, lists, numbers, and several of them", () =>
    tidy(() => {
      const x = arange(0, 12, { dtype: "float32" }).reshape([3, 4]);
      const [largest, places] = call("max", "dim", x, 1) as [Tensor, Tensor];
      expect([values(largest), values(places)]).toEqual([
        [3, 7, 11],
        [3, 3, 3],
      ]);
      expect((call("split_with_sizes", "", x, [1, 2]) as Tensor[]).map(({ shape }) => shape)).toEqual([
        [1, 4],
        [2, 4],
      ]);
      expect(call("sym_size", "int", x, 1)).toBe(4);
      expect(call("item", "", ones([1]))).toBe(1);
      expect(call("is_nonzero", "", zeros([1]))).toBe(false);
    }));

  it("read slots each time, take numbers for tensors, and draw from this engine's generator", () =>
    tidy(() => {
      const add = new OperatorCall(operator("add", "Tensor"), [
        { kind: "slot", slot: 0 },
        { kind: "slot", slot: 1 },
        { kind: "slot", slot: 2 },
      ]);
      expect(values(add.run([ones([2]), 3, 2]))).toEqual([7, 7]);
      expect((add.run([ones([2]), 0.5, 1]) as Tensor).dtype).toBe("float32");
      const draw = () => {
        manualSeed(2);
        return values(call("bernoulli", "p", zeros([20]), 0.5));
      };
      expect(draw()).toEqual(draw());
    }));

  it("refuse an argument of another kind, or one that is missing, by name", () =>
    tidy(() => {
      expect(() => callOperator(operator("relu"), [])).toThrow(/argument self is missing/);
      expect(() => callOperator(operator("permute"), [ones([2]), "ab"])).toThrow(/dims is of type int\[\], and string/);
      expect(() => callOperator(operator("relu"), [3])).toThrow(/self is of type Tensor, and int/);
    }));
});
