import { describe, expect, it } from "vitest";
import type { DType } from "./dtype.ts";
import {
  arange,
  empty,
  eye,
  full,
  ones,
  onesLike,
  rand,
  randn,
  randperm,
  type Tensor,
  tensor,
  zeros,
  zerosLike,
} from "./index.ts";
import type { NestedArray } from "./print.ts";

const values = (t: Tensor) => Array.from(t.data() as ArrayLike<number | bigint>, Number);

describe("tensor", () => {
  it.each([
    [new Float32Array([1, 2.5]), "float32"],
    [new Float64Array([1, 2.5]), "float64"],
    [new BigInt64Array([1n, -2n]), "int64"],
    [new Int32Array([1, -2]), "int32"],
    [new Int16Array([1, -2]), "int16"],
    [new Int8Array([1, -2]), "int8"],
    [new Uint8Array([1, 255]), "uint8"],
    [new Uint8ClampedArray([1, 255]), "uint8"],
    [Buffer.from([1, 255]), "uint8"],
  ] as const)("copies a typed array in its own dtype (%o)", (source, dtype) => {
    const made = tensor(source);
    expect([made.dtype, made.shape, made.device]).toEqual([dtype, [2], "cpu"]);
    const before = values(made);
    expect(before).toEqual(Array.from(source as ArrayLike<number | bigint>, Number));
    source[0] = source[1] as never;
    expect(values(made)).toEqual(before);
  });

  it("reads a view of part of a buffer", () => {
    expect(values(tensor(new Float32Array([0, 1, 2, 3]).subarray(1, 3)))).toEqual([1, 2]);
  });

  it.each<[NestedArray, DType, number[]]>([
    [5, "float32", []],
    [true, "bool", []],
    [[], "float32", [0]],
    [[[], []], "float32", [2, 0]],
    [
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      "float32",
      [2, 3],
    ],
    [[[[1]], [[2]]], "float32", [2, 1, 1]],
    [[1n, 2], "int64", [2]],
    [[1, 2n], "int64", [2]],
    [[true, false], "bool", [2]],
    [[true, 0.5], "float32", [2]],
  ])("reads nested arrays (%o)", (data, dtype, shape) => {
    const made = tensor(data);
    expect([made.dtype, made.shape]).toEqual([dtype, shape]);
    expect(values(made)).toEqual(([data] as unknown[]).flat(9).map(Number));
  });

  it("keeps the precision of float64 if asked to", () => {
    expect(tensor([0.1], { dtype: "float64" }).item()).toBe(0.1);
    expect(tensor([0.1]).item()).toBe(Math.fround(0.1));
    expect(tensor([2n ** 53n + 1n]).data()[0]).toBe(2n ** 53n + 1n);
  });

  it.each<[DType, number]>([
    ["bfloat16", 1.0078125],
    ["float16", 1.0009765625],
    ["float64", 1.001],
    ["int64", 3],
    ["uint8", 255],
    ["int8", -128],
    ["bool", 1],
  ])("converts to %s", (dtype, value) => {
    const made = tensor([value], { dtype });
    expect([made.dtype, made.item()]).toEqual([dtype, value]);
  });

  it("takes a shape for flat data, and a gradient", () => {
    const made = tensor(new Float32Array(6), { shape: [2, 3], requiresGrad: true });
    expect([made.shape, made.requiresGrad, made.isLeaf]).toEqual([[2, 3], true, true]);
    expect(tensor([1], { dtype: "float64", requiresGrad: true }).isLeaf).toBe(true);
  });

  it.each<[string, () => unknown, string, RegExp]>([
    ["a short row", () => tensor([[1, 2], [3]]), "E_SHAPE", /ragged .* expected 2 elements at depth 1, got 1/],
    ["a number among rows", () => tensor([[1, 2], 3 as never]), "E_SHAPE", /expected 2 elements at depth 1, got 3/],
    ["a row among numbers", () => tensor([1, [2] as never]), "E_SHAPE", /expected a number at depth 1 .* got \[2\]/],
    ["a hole", () => tensor(new Array(3) as never), "E_SHAPE", /got undefined/],
    ["a string", () => tensor(["1"] as never), "E_SHAPE", /got "1"/],
    ["null", () => tensor(null as never), "E_SHAPE", /got null/],
    ["nothing", () => tensor(undefined as never), "E_SHAPE", /got undefined/],
    ["an object", () => tensor({ length: 2 } as never), "E_SHAPE", /got Object/],
    ["a tensor", () => tensor(zeros([2]) as never), "E_SHAPE", /got Tensor/],
    ["a wrong shape", () => tensor(new Float32Array(5), { shape: [2, 3] }), "E_SHAPE", /\[2,3\] holds 6 values, got 5/],
    ["a negative size", () => tensor([1], { shape: [-1] }), "E_SHAPE", /integers >= 0, got \[-1\]/],
    ["a fractional size", () => tensor([1], { shape: [0.5] }), "E_SHAPE", /got \[0.5\]/],
    ["a shape that is no array", () => tensor([1], { shape: 1 as never }), "E_SHAPE", /got 1/],
    ["an unsigned 16-bit array", () => tensor(new Uint16Array(1)), "E_DTYPE", /Uint16Array has no tensor dtype/],
    ["a DataView", () => tensor(new DataView(new ArrayBuffer(4))), "E_DTYPE", /DataView/],
    [
      "an unknown dtype",
      () => tensor([1], { dtype: "float" as never }),
      "E_DTYPE",
      /expected one of uint8, .*, got "float"/,
    ],
    ["a dtype of Object.prototype", () => tensor([1], { dtype: "toString" as never }), "E_DTYPE", /got "toString"/],
    ["a device for a dtype", () => tensor([1], { dtype: "cpu" as never }), "E_DTYPE", /got "cpu"/],
    ["a fraction for an integer", () => tensor([1.5], { dtype: "int32" }), "E_DTYPE", /integers .* for int32, got 1.5/],
    ["a fraction beside a bigint", () => tensor([1n, 1.5]), "E_DTYPE", /got 1.5/],
    ["NaN for an integer", () => tensor([Number.NaN], { dtype: "int64" }), "E_DTYPE", /got NaN/],
    ["256 for a byte", () => tensor([256], { dtype: "uint8" }), "E_DTYPE", /from 0 to 255 for uint8, got 256/],
    ["2^63 for int64", () => tensor([2n ** 63n]), "E_DTYPE", /got 9223372036854775808/],
    [
      "a GPU that is not there",
      () => tensor([1], { device: "cuda" }),
      "E_ARGUMENT",
      /device: expected "cpu".* got "cuda"/,
    ],
    ["a dtype for a device", () => zeros([1], { device: "float64" }), "E_ARGUMENT", /device: .* got "float64"/],
    ["a gradient of integers", () => tensor([1n], { requiresGrad: true }), "E_DTYPE", /floating point/],
    [
      "requiresGrad that is no boolean",
      () => tensor([1], { requiresGrad: 1 as never }),
      "E_ARGUMENT",
      /requiresGrad: expected true or false, got 1/,
    ],
  ])("refuses %s", (_, make, code, message) => {
    expect(make).toThrow(
      expect.objectContaining({ name: "BatchCamError", code, message: expect.stringMatching(message) }),
    );
  });

  it("refuses an array that contains itself", () => {
    const self: NestedArray[] = [];
    self.push(self);
    expect(() => tensor(self)).toThrow(/at most 64 dimensions/);
  });
});

describe("filled tensors", () => {
  it("have the shape, dtype and value asked for", () => {
    expect(values(zeros([2, 2]))).toEqual([0, 0, 0, 0]);
    expect(values(ones([2], { dtype: "int64" }))).toEqual([1, 1]);
    expect(values(full([2], -0.5, { dtype: "float64" }))).toEqual([-0.5, -0.5]);
    expect(Object.is(full([], -0).item(), -0)).toBe(true);
    expect(full([1], true, { dtype: "bool" }).item()).toBe(1);
    expect(full([1], 2 ** 53 - 1, { dtype: "int64" }).item()).toBe(2 ** 53 - 1);
    expect(values(eye(2))).toEqual([1, 0, 0, 1]);
    expect(empty([3, 0, 2]).shape).toEqual([3, 0, 2]);
    const like = tensor([[1n, 2n]]);
    expect([values(zerosLike(like)), values(onesLike(like)), onesLike(like).dtype]).toEqual([[0, 0], [1, 1], "int64"]);
    expect(zeros([1], { requiresGrad: true }).requiresGrad).toBe(true);
    expect(randn([2], { requiresGrad: true }).isLeaf).toBe(true);
  });

  it("count in arange as torch does", () => {
    expect([values(arange(3)), arange(3).dtype]).toEqual([[0, 1, 2], "int64"]);
    expect(values(arange(2, 8, { step: 3 }))).toEqual([2, 5]);
    expect(values(arange(3, 0, { step: -1 }))).toEqual([3, 2, 1]);
    expect([values(arange(0, 1, { step: 0.25 })), arange(0, 1, { step: 0.25 }).dtype]).toEqual([
      [0, 0.25, 0.5, 0.75],
      "float32",
    ]);
    expect(values(arange(0))).toEqual([]);
  });

  it.each<[string, () => unknown, string, RegExp]>([
    ["zeros without a shape", () => zeros(undefined as never), "E_SHAPE", /zeros: shape .* got undefined/],
    ["zeros of a number", () => zeros(3 as never), "E_SHAPE", /got 3/],
    ["zeros of a string", () => zeros("3" as never), "E_SHAPE", /got "3"/],
    ["zeros of NaN", () => zeros([Number.NaN]), "E_SHAPE", /got \[NaN\]/],
    ["zeros of a bigint", () => zeros([2n] as never), "E_SHAPE", /integers >= 0/],
    ["zeros of infinity", () => zeros([Number.POSITIVE_INFINITY]), "E_SHAPE", /got \[Infinity\]/],
    [
      "zeros of a hole",
      () => zeros(new Array(2) as never),
      "E_SHAPE",
      /zeros: shape must be an array of integers >= 0, got \[undefined, undefined\]/,
    ],
    ["more memory than there is", () => zeros([2 ** 45]), "E_NATIVE", /can't allocate memory|not enough memory/],
    ["more elements than there can be", () => zeros([2 ** 40, 2 ** 40]), "E_SHAPE", /overflow/i],
    [
      "more dimensions than one call takes",
      () => zeros(Array(70_000).fill(1)),
      "E_ARGUMENT",
      /zeros: shape: a list of 70000 is too long/,
    ],
    [
      "a value that is no number",
      () => full([1], "1" as never),
      "E_ARGUMENT",
      /full: fillValue: expected a number, got "1"/,
    ],
    ["a bigint for a value", () => full([1], 1n as never), "E_ARGUMENT", /expected a number, got 1n/],
    [
      "arange of nothing",
      () => arange(undefined as never),
      "E_ARGUMENT",
      /arange: end must be a number, got undefined/,
    ],
    ["arange that goes nowhere", () => arange(0, 5, { step: 0 }), "E_NATIVE", /step must be nonzero/],
    ["arange that goes the wrong way", () => arange(5, 0), "E_NATIVE", /inconsistent with step sign/],
    ["a fractional eye", () => eye(1.5), "E_ARGUMENT", /eye: n: expected an integer, got 1.5/],
    ["a negative eye", () => eye(-1), "E_NATIVE", /n must be greater or equal to 0/],
    ["a negative randperm", () => randperm(-1), "E_SHAPE", /negative dimension -1/],
    ["randn of a wrong dtype", () => randn([2], { dtype: "int64" }), "E_DTYPE", /./],
    ["rand of a wrong dtype", () => rand([2], { dtype: "bool" }), "E_DTYPE", /./],
    ["zerosLike of a number", () => zerosLike(3 as never), "E_ARGUMENT", /zerosLike: self: expected a Tensor, got 3/],
  ])("refuse %s", (_, make, code, message) => {
    expect(make).toThrow(
      expect.objectContaining({ name: "BatchCamError", code, message: expect.stringMatching(message) }),
    );
  });
});
