import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arange, type DType, full, ones, randn, type Tensor, tensor, tidy, zeros } from "./index.ts";

interface Array3 {
  shape: number[];
  data: number[];
}

/** Two shapes that broadcast, with values for each. */
const broadcastable = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom("both", "left", "right")), {
    minLength: 0,
    maxLength: 4,
  })
  .chain((dims) => {
    const left = dims.map(([n, side]) => (side === "right" ? 1 : n));
    const right = dims.map(([n, side]) => (side === "left" ? 1 : n));
    return fc.tuple(
      arrayOf(left),
      fc.nat({ max: dims.length }).chain((drop) => arrayOf(withoutOnes(right, drop))),
    );
  });

/** Removes up to `most` leading dimensions of size one. */
function withoutOnes(shape: number[], most: number): number[] {
  let drop = 0;
  while (drop < most && shape[drop] === 1) drop++;
  return shape.slice(drop);
}

function arrayOf(shape: number[]): fc.Arbitrary<Array3> {
  const length = shape.reduce((a, b) => a * b, 1);
  const number = fc.double({ min: -100, max: 100, noNaN: true });
  return fc.array(number, { minLength: length, maxLength: length }).map((data) => ({ shape, data }));
}

/** The reference: computed element by element, with dimensions of size one repeated. */
function combine(a: Array3, b: Array3, f: (x: number, y: number) => number): Array3 {
  const rank = Math.max(a.shape.length, b.shape.length);
  const padded = (s: number[]) => [...Array<number>(rank - s.length).fill(1), ...s];
  const [sa, sb] = [padded(a.shape), padded(b.shape)];
  const shape = sa.map((n, i) => (n === 1 ? (sb[i] as number) : n));
  const length = shape.reduce((x, y) => x * y, 1);
  const data = Array.from({ length }, (_, flat) => {
    let [rest, ia, ib, ka, kb] = [flat, 0, 0, 1, 1];
    for (let d = rank - 1; d >= 0; d--) {
      const at = rest % (shape[d] as number);
      rest = Math.floor(rest / (shape[d] as number));
      if (sa[d] !== 1) ia += at * ka;
      if (sb[d] !== 1) ib += at * kb;
      ka *= sa[d] as number;
      kb *= sb[d] as number;
    }
    return f(a.data[ia] as number, b.data[ib] as number);
  });
  return { shape, data };
}

const make = ({ shape, data }: Array3) => tensor(Float64Array.from(data), { shape });

interface PrintedCase {
  data?: string[];
  range?: [number, number];
  shape: number[];
  dtype: DType;
  requiresGrad: boolean;
  text: string;
}
const PRINTED: PrintedCase[] = JSON.parse(
  readFileSync(new URL("../../test/fixtures/printed_tensors.json", import.meta.url), "utf8"),
);

function printedCase({ data, range, shape, dtype, requiresGrad }: PrintedCase): Tensor {
  if (range) {
    const numbers = Float64Array.from({ length: range[0] }, (_, i) => i / range[1]);
    return tensor(numbers, { shape, dtype, requiresGrad });
  }
  const special: Record<string, number> = { True: 1, False: 0, nan: Number.NaN, inf: Infinity, "-inf": -Infinity };
  const values = (data ?? []).map((value) => (dtype === "int64" ? BigInt(value) : (special[value] ?? Number(value))));
  const array = dtype === "int64" ? BigInt64Array.from(values as bigint[]) : Float64Array.from(values as number[]);
  return tensor(array, { shape, dtype, requiresGrad });
}

describe("arithmetic", () => {
  const operators: [string, (a: Tensor, b: Tensor) => Tensor, (x: number, y: number) => number][] = [
    ["add", (a, b) => a.add(b), (x, y) => x + y],
    ["sub", (a, b) => a.sub(b), (x, y) => x - y],
    ["mul", (a, b) => a.mul(b), (x, y) => x * y],
    ["div", (a, b) => a.div(b), (x, y) => x / y],
    ["maximum", (a, b) => a.maximum(b), Math.max],
    ["minimum", (a, b) => a.minimum(b), Math.min],
    ["lt", (a, b) => a.lt(b), (x, y) => Number(x < y)],
    ["ge", (a, b) => a.ge(b), (x, y) => Number(x >= y)],
    ["eq", (a, b) => a.eq(b), (x, y) => Number(x === y)],
  ];

  it.each(operators)("broadcasts %s as an element-by-element reference does", (_, operator, reference) => {
    fc.assert(
      fc.property(broadcastable, ([a, b]) =>
        tidy(() => {
          for (const [left, right] of [
            [a, b],
            [b, a],
          ] as const) {
            const result = operator(make(left), make(right));
            const expected = combine(left, right, reference);
            expect(result.shape).toEqual(expected.shape);
            expect(Array.from(result.data() as Float64Array, (x) => x + 0)).toEqual(expected.data.map((x) => x + 0));
          }
        }),
      ),
      { numRuns: 40 },
    );
  });

  it("takes numbers, which keep a tensor's dtype where it can hold them", () => {
    const x = tensor([1n, 2n]);
    expect([x.add(1).dtype, x.add(1.5).dtype, x.mul(true).dtype, x.div(2).dtype]).toEqual([
      "int64",
      "float32",
      "int64",
      "float32",
    ]);
    expect(x.add(2 ** 53 - 1).data()[0]).toBe(2n ** 53n);
    expect(ones([1], { dtype: "float64" }).mul(0.1).item()).toBe(0.1);
    expect(Object.is(ones([1]).mul(-0).item(), -0)).toBe(true);
    expect(ones([1]).mul(Number.POSITIVE_INFINITY).item()).toBe(Number.POSITIVE_INFINITY);
    expect(ones([1]).add(Number.NaN).item()).toBeNaN();
    expect(tensor([7, -7]).remainder(3)).toBeAllclose([1, 2]);
    expect(tensor([2, 3]).pow(tensor([3, 2]))).toBeAllclose([8, 9]);
    expect(tensor([2, 3]).pow(-1)).toBeAllclose([0.5, 1 / 3]);
  });

  it("applies functions element by element", () => {
    const values = [0.3, 1.7, 2.2];
    const x = tensor(values, { dtype: "float64" });
    const functions: [Tensor, (v: number) => number][] = [
      [x.neg(), (v) => -v],
      [x.sub(1).abs(), (v) => Math.abs(v - 1)],
      [x.sub(1).sign(), (v) => Math.sign(v - 1)],
      [x.exp(), Math.exp],
      [x.log(), Math.log],
      [x.sqrt(), Math.sqrt],
      [x.rsqrt(), (v) => 1 / Math.sqrt(v)],
      [x.square(), (v) => v * v],
      [x.reciprocal(), (v) => 1 / v],
      [x.sin(), Math.sin],
      [x.cos(), Math.cos],
      [x.floor(), Math.floor],
      [x.ceil(), Math.ceil],
      [x.round(), Math.round],
      [x.clamp(1, 2), (v) => Math.min(2, Math.max(1, v))],
      [x.clamp(1), (v) => Math.max(1, v)],
      [x.clamp(undefined, 1), (v) => Math.min(1, v)],
      [x.sub(1).relu(), (v) => Math.max(0, v - 1)],
      [x.lerp(x.add(2), 0.25), (v) => v + 0.5],
      [x.lerp(x.add(2), x), (v) => v + 2 * v],
    ];
    for (const [result, reference] of functions) expect(result).toBeAllclose(values.map(reference), { rtol: 1e-12 });
    expect(tensor([0.5], { dtype: "float64" }).erf().item()).toBeCloseTo(0.5204998778130465, 14);
  });

  it("multiplies matrices", () => {
    const a = tensor([
      [1, 2],
      [3, 4],
    ]);
    const b = tensor([
      [5, 6],
      [7, 8],
    ]);
    for (const product of [a.matmul(b), a.mm(b), a.unsqueeze(0).bmm(b.unsqueeze(0)).squeeze(0)]) {
      expect(product).toBeAllclose([
        [19, 22],
        [43, 50],
      ]);
    }
    expect(a.t()).toBeAllclose([
      [1, 3],
      [2, 4],
    ]);
    expect(
      tensor([1, 2])
        .dot(tensor([3, 4]))
        .item(),
    ).toBe(11);
  });
});

describe("reductions", () => {
  const x = tensor([
    [1, 5, 3],
    [4, 2, 6],
  ]);

  it("run over all dimensions, some, or some that stay", () => {
    expect([x.sum().item(), x.mean().item(), x.max().item(), x.min().item()]).toEqual([21, 3.5, 6, 1]);
    expect(x.sum(0)).toBeAllclose([5, 7, 9]);
    expect(x.sum([-1])).toBeAllclose([9, 12]);
    expect(x.mean([0, 1], { keepDims: true }).shape).toEqual([1, 1]);
    expect(x.amax(1)).toBeAllclose([5, 6]);
    expect(x.amin(0, { keepDims: true })).toBeAllclose([[1, 2, 3]]);
    expect(x.amax().item()).toBe(6);
    expect(x.norm().item()).toBeCloseTo(Math.sqrt(91), 5);
    expect(x.norm(1)).toBeAllclose([Math.sqrt(35), Math.sqrt(56)]);
    expect(x.cumsum(1)).toBeAllclose([
      [1, 6, 9],
      [4, 6, 12],
    ]);
  });

  it("take the correction of a variance", () => {
    expect(x.var().item()).toBeCloseTo(3.5, 5);
    expect(x.var([0, 1], { correction: 0 }).item()).toBeCloseTo(17.5 / 6, 5);
    expect(x.std(1)).toBeAllclose([2, 2]);
  });

  it("find places", () => {
    expect([x.argmax().item(), x.argmin().item()]).toEqual([5, 0]);
    expect(x.argmax(1)).toBeAllclose([1, 2]);
    expect(x.argmin(0, { keepDims: true })).toBeAllclose([[0, 1, 0]]);
    const { values, indices } = x.sort(1, { descending: true });
    expect(values).toBeAllclose([
      [5, 3, 1],
      [6, 4, 2],
    ]);
    expect(indices).toBeAllclose([
      [1, 2, 0],
      [2, 0, 1],
    ]);
    expect(x.topk(2, 1).values).toBeAllclose([
      [5, 3],
      [6, 4],
    ]);
    expect(tensor([[1, 2, 3, 4]]).median(1).values).toBeAllclose([2]);
    expect(x.gt(4).nonzero()).toBeAllclose([
      [0, 1],
      [1, 2],
    ]);
  });

  it("give booleans", () => {
    expect([x.gt(0).all().item(), x.gt(5).all().item(), x.gt(5).any().item(), x.gt(6).any().item()]).toEqual([
      1, 0, 1, 0,
    ]);
    const odd = tensor([Number.NaN, Number.POSITIVE_INFINITY, 1]);
    expect(odd.isnan()).toBeAllclose([1, 0, 0]);
    expect(odd.isfinite()).toBeAllclose([0, 0, 1]);
    expect(x.gt(2).logicalAnd(x.lt(5))).toBeAllclose([
      [0, 0, 1],
      [1, 0, 0],
    ]);
    expect(x.gt(4).logicalOr(x.lt(2)).logicalNot()).toBeAllclose([
      [0, 0, 1],
      [1, 1, 0],
    ]);
    expect([x.equal(x.clone()), x.equal(x.add(1)), x.equal(x.t())]).toEqual([true, false, false]);
  });
});

describe("shapes and indices", () => {
  const x = arange(24, undefined, { dtype: "float32" }).reshape([2, 3, 4]);

  it("change the view", () => {
    expect(x.view([6, 4]).shape).toEqual([6, 4]);
    expect(x.reshape([-1]).shape).toEqual([24]);
    expect(x.flatten(1).shape).toEqual([2, 12]);
    expect(x.permute([2, 0, 1]).shape).toEqual([4, 2, 3]);
    expect(x.transpose(0, -1).shape).toEqual([4, 3, 2]);
    expect(x.unsqueeze(-1).squeeze(-1).shape).toEqual([2, 3, 4]);
    expect(x.unsqueeze(0).unsqueeze(0).squeeze().shape).toEqual([2, 3, 4]);
    expect(ones([1, 3]).expand([2, 3]).shape).toEqual([2, 3]);
    expect(ones([1, 3]).repeat([2, 2]).shape).toEqual([2, 6]);
    expect([x.ndim, x.numel, x.nbytes]).toEqual([3, 24, 96]);
  });

  it("pick parts", () => {
    expect(x.select(0, 1).select(0, -1)).toBeAllclose([20, 21, 22, 23]);
    expect(x.narrow(2, 1, 2).select(0, 0).select(0, 0)).toBeAllclose([1, 2]);
    expect(x.slice(2, -2).select(0, 0).select(0, 0)).toBeAllclose([2, 3]);
    expect(x.slice(2, 0, 4, 3).select(0, 0).select(0, 0)).toBeAllclose([0, 3]);
    expect(x.flip([2]).select(0, 0).select(0, 0)).toBeAllclose([3, 2, 1, 0]);
    expect(x.indexSelect(0, tensor([1n, 1n])).shape).toEqual([2, 3, 4]);
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ]).gather(1, tensor([[1n], [0n]])),
    ).toBeAllclose([[2], [3]]);
    expect(tensor([1, 2, 3]).maskedFill(tensor([true, false, true]), 9)).toBeAllclose([9, 2, 9]);
    expect(tensor([1, 2, 3]).maskedSelect(tensor([true, false, true]))).toBeAllclose([1, 3]);
    expect(zeros([3]).indexAdd(0, tensor([0n, 2n, 2n]), tensor([1, 2, 3]))).toBeAllclose([1, 0, 5]);
    expect(zeros([2, 2]).scatter(1, tensor([[1n], [0n]]), 5)).toBeAllclose([
      [0, 5],
      [5, 0],
    ]);
    expect(x.unbind().map((t) => t.shape)).toEqual([
      [3, 4],
      [3, 4],
    ]);
    expect(x.split(3, 2).map((t) => t.shape)).toEqual([
      [2, 3, 3],
      [2, 3, 1],
    ]);
  });

  it("read only a copy of the shape", () => {
    const { shape } = x;
    shape[0] = 99;
    expect(x.shape).toEqual([2, 3, 4]);
  });
});

describe("in place", () => {
  it("changes the tensor, and whatever shares its memory, and returns it", () => {
    const x = tensor([1, 2, 3, 4]);
    const view = x.narrow(0, 0, 2);
    expect(x.add_(1)).toBe(x);
    expect(view).toBeAllclose([2, 3]);
    x.sub_(1)
      .mul_(tensor([2]))
      .div_(4)
      .add_(x);
    expect(x).toBeAllclose([1, 2, 3, 4]);
    expect(
      x
        .sub_(tensor([1]))
        .div_(tensor([2]))
        .mul_(2),
    ).toBeAllclose([0, 1, 2, 3]);
    expect(x.clamp_(1, 2).lerp_(zeros([4]), 0.5)).toBeAllclose([0.5, 0.5, 1, 1]);
    expect(x.copy_(tensor([1n, 2n, 3n, 4n]))).toBeAllclose([1, 2, 3, 4]);
    expect(x.indexAdd_(0, tensor([0n]), tensor([9]))).toBeAllclose([10, 2, 3, 4]);
    expect([x.fill_(7).sum().item(), x.zero_().sum().item()]).toEqual([28, 0]);
  });
});

describe("values", () => {
  it("come out as typed arrays, contiguous copies", () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    const data = x.t().data();
    expect(data).toEqual(Float32Array.of(1, 3, 2, 4));
    data[0] = 99;
    expect(x.item.bind(x.select(0, 0).select(0, 0))()).toBe(1);
    expect(x.to("bfloat16").data()).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(x.to("float16").data()).toBeInstanceOf(Float32Array);
    expect(x.gt(2).data()).toEqual(Uint8Array.of(0, 0, 1, 1));
    expect(x.to("int64").data()).toEqual(BigInt64Array.of(1n, 2n, 3n, 4n));
    expect(zeros([0, 3]).data()).toEqual(new Float32Array(0));
    expect(tensor([1]).requiresGrad_().mul(2).data()).toEqual(Float32Array.of(2));
  });

  it("convert between dtypes", () => {
    expect(tensor([1.7, -1.7]).to("int32").data()).toEqual(Int32Array.of(1, -1));
    expect(tensor([0, 0.5]).to("bool").data()).toEqual(Uint8Array.of(0, 1));
    const x = ones([1]);
    expect(x.to("cpu").equal(x)).toBe(true);
  });

  it.each(PRINTED)("are printed as torch prints them: $dtype $shape, $text", (case_) => {
    const { shape, dtype, requiresGrad, text } = case_;
    expect(inspect(printedCase(case_), { depth: 0 })).toBe(text);
    expect(printedCase(case_)).toMatchObject({ shape, dtype, requiresGrad });
  });

  it("become nested arrays", () => {
    expect(tensor([[1.5, 2]]).tolist()).toEqual([[1.5, 2]]);
    expect(arange(3).tolist()).toEqual([0, 1, 2]);
    expect(tensor([true, false]).tolist()).toEqual([true, false]);
    expect(tensor([2n ** 60n + 1n, 1n]).tolist()).toEqual([2n ** 60n + 1n, 1n]);
    expect(full([], 3).tolist()).toBe(3);
    expect(zeros([2, 0]).tolist()).toEqual([[], []]);
    expect(zeros([0, 2]).tolist()).toEqual([]);
    expect(tensor([1.5], { dtype: "bfloat16" }).tolist()).toEqual([1.5]);
    const rows: number[][] = tensor([
      [1, 2],
      [3, 4],
    ])
      .t()
      .tolist();
    expect(rows).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });
});

describe("a wrong argument", () => {
  const x = ones([2, 3]);

  it.each<[string, (x: Tensor) => unknown, string, RegExp]>([
    [
      "add: shapes",
      (x) => x.add(ones([4])),
      "E_SHAPE",
      /^add\(self Float\[2, 3\], other Float\[4\]\): The size of tensor a \(3\) must match/,
    ],
    ["add_: shapes", (x) => x.add_(ones([2, 2, 3])), "E_SHAPE", /^add_\(self Float\[2, 3\], other Float\[2, 2, 3\]\)/],
    ["add: text", (x) => x.add("1" as never), "E_ARGUMENT", /^add: other: expected a Tensor, got "1"/],
    ["add: nothing", (x) => x.add(undefined as never), "E_ARGUMENT", /got undefined/],
    ["add: null", (x) => x.add(null as never), "E_ARGUMENT", /got null/],
    ["add: a bigint", (x) => x.add(1n as never), "E_ARGUMENT", /got 1n/],
    [
      "add: an object like a tensor",
      (x) => x.add({ shape: [2], dtype: "float32" } as never),
      "E_ARGUMENT",
      /got Object/,
    ],
    [
      "add: a forged tensor",
      (x) => x.add(Object.create(Object.getPrototypeOf(x)) as never),
      "E_ARGUMENT",
      /got Tensor/,
    ],
    ["a method of no tensor", (x) => x.add.call({} as never, 1), "E_ARGUMENT", /^add: self: expected a Tensor/],
    ["matmul: shapes", (x) => x.matmul(x), "E_SHAPE", /matmul\(self Float\[2, 3\], other Float\[2, 3\]\).*2x3 and 2x3/],
    ["matmul: dtypes", (x) => x.matmul(ones([3, 2], { dtype: "float64" })), "E_DTYPE", /Double\[3, 2\]/],
    ["matmul: a number", (x) => x.matmul(2 as never), "E_ARGUMENT", /matmul: other: expected a Tensor, got 2/],
    [
      "add_: an integer tensor with a fraction",
      () => ones([2], { dtype: "int64" }).add_(0.5),
      "E_DTYPE",
      /can't be cast/,
    ],
    ["copy_: shapes", (x) => x.copy_(ones([4])), "E_SHAPE", /copy_/],
    ["fill_: text", (x) => x.fill_("1" as never), "E_ARGUMENT", /fill_: value: expected a number, got "1"/],
    ["clamp: text", (x) => x.clamp("0" as never), "E_ARGUMENT", /clamp: min: expected a number, got "0"/],
    ["clamp: nothing", (x) => x.clamp(), "E_NATIVE", /At least one of 'min' or 'max'/],
    ["item of many", (x) => x.item(), "E_SHAPE", /item: needs one element, got shape \[2,3\]/],
    ["item of none", () => zeros([0]).item(), "E_SHAPE", /item: needs one element, got shape \[0\]/],
    ["reshape: count", (x) => x.reshape([4]), "E_SHAPE", /reshape\(self Float\[2, 3\]\): shape '\[4\]' is invalid/],
    ["reshape: two unknowns", (x) => x.reshape([-1, -1]), "E_SHAPE", /only one dimension can be inferred/],
    [
      "reshape: a number",
      (x) => x.reshape(6 as never),
      "E_ARGUMENT",
      /reshape: shape: expected an array of integers, got 6/,
    ],
    ["reshape: a fraction", (x) => x.reshape([1.5, 4]), "E_ARGUMENT", /got 1.5/],
    ["reshape: NaN", (x) => x.reshape([Number.NaN]), "E_ARGUMENT", /got NaN/],
    ["reshape: text", (x) => x.reshape(["6"] as never), "E_ARGUMENT", /got "6"/],
    ["view of a transposed matrix", (x) => x.t().view([6]), "E_SHAPE", /view/],
    ["permute: repeated", (x) => x.permute([0, 0]), "E_SHAPE", /permute\(self Float\[2, 3\]\)/],
    ["transpose: out of range", (x) => x.transpose(0, 2), "E_SHAPE", /Dimension out of range .* but got 2/],
    [
      "transpose: a boolean",
      (x) => x.transpose(true as never, 1),
      "E_ARGUMENT",
      /transpose: dim0: expected an integer, got true/,
    ],
    ["expand: wrong size", (x) => x.expand([4, 3]), "E_SHAPE", /expanded size/],
    ["select: index", (x) => x.select(0, 2), "E_SHAPE", /index 2 out of range|out of bounds/],
    ["select: null", (x) => x.select(null as never, 1), "E_ARGUMENT", /select: dim: expected an integer, got null/],
    ["select: text", (x) => x.select("0" as never, 1), "E_ARGUMENT", /select: dim: expected an integer, got "0"/],
    ["narrow: too long", (x) => x.narrow(0, 1, 2), "E_SHAPE", /exceeds dimension size/],
    ["narrow: negative length", (x) => x.narrow(0, 0, -1), "E_SHAPE|E_NATIVE", /length/],
    ["slice: step 0", (x) => x.slice(0, 0, 1, 0), "E_NATIVE", /slice step must be positive/],
    ["sum: dimension", (x) => x.sum(2), "E_SHAPE", /Dimension out of range/],
    ["sum: repeated dimension", (x) => x.sum([0, 0]), "E_SHAPE", /dim 0 appears multiple times/],
    ["sum: fraction", (x) => x.sum(0.5), "E_ARGUMENT", /sum: dim: expected an integer, got 0.5/],
    ["sum: text", (x) => x.sum("0" as never), "E_ARGUMENT", /sum: dim: expected an array of integers, got "0"/],
    [
      "sum: keepDims as a number",
      (x) => x.sum(0, { keepDims: 1 as never }),
      "E_ARGUMENT",
      /sum: keepdim: expected true or false, got 1/,
    ],
    ["mean of integers", () => ones([2], { dtype: "int64" }).mean(), "E_DTYPE", /floating point/],
    ["max of nothing", () => zeros([0]).max(), "E_SHAPE|E_NATIVE", /max\(self Float\[0\]\)/],
    ["argmax of nothing", () => zeros([0]).argmax(), "E_SHAPE|E_NATIVE", /argmax/],
    ["amax of nothing", () => zeros([0, 3]).amax(0), "E_SHAPE|E_NATIVE", /amax/],
    ["topk: too many", (x) => x.topk(4, 1), "E_SHAPE", /out of range/],
    ["indexSelect: out of range", (x) => x.indexSelect(0, tensor([2n])), "E_SHAPE", /index out of range/],
    ["indexSelect: negative", (x) => x.indexSelect(0, tensor([-1n])), "E_SHAPE", /index out of range/],
    [
      "indexSelect: floats",
      (x) => x.indexSelect(0, tensor([0])),
      "E_DTYPE|E_NATIVE",
      /index_select\(self Float\[2, 3\], index Float\[1\]\)/,
    ],
    ["gather: out of range", (x) => x.gather(1, tensor([[3n], [0n]])), "E_SHAPE", /out of bounds/],
    [
      "indexAdd_: out of range",
      (x) => x.indexAdd_(0, tensor([2n]), ones([1, 3])),
      "E_SHAPE",
      /^index_add_\(self Float\[2, 3\]/,
    ],
    ["scatter: out of range", (x) => x.scatter(1, tensor([[3n], [0n]]), 1), "E_SHAPE", /out of bounds/],
    ["maskedFill: mask of numbers", (x) => x.maskedFill(ones([2, 3]), 0), "E_DTYPE", /bool/],
    [
      "maskedFill: value",
      (x) => x.maskedFill(x.gt(0), x as never),
      "E_ARGUMENT",
      /maskedFill: value: expected a number, got Tensor/,
    ],
    ["split: 0", (x) => x.split(0), "E_SHAPE|E_NATIVE", /split/],
    ["split: negative", (x) => x.split(-1), "E_SHAPE|E_NATIVE", /split/],
    [
      "unbind into more than one call returns",
      () => zeros([70_000]).unbind(),
      "E_NATIVE",
      /more values result than one call can return/,
    ],
    ["bmm of matrices", (x) => x.bmm(x), "E_SHAPE", /bmm/],
    ["integer remainder by zero", () => ones([1], { dtype: "int64" }).remainder(0), "E_NATIVE", /ZeroDivision/i],
    [
      "pow: integers to a negative power",
      () => ones([1], { dtype: "int64" }).pow(-1),
      "E_NATIVE",
      /negative integer powers/,
    ],
    ["to: an unknown name", (x) => x.to("float"), "E_ARGUMENT", /to: target: expected a dtype .* got "float"/],
    ["to: a GPU", (x) => x.to("cuda"), "E_ARGUMENT", /the device "cpu", the only one of this engine, got "cuda"/],
    ["to: a name of Object.prototype", (x) => x.to("constructor"), "E_ARGUMENT", /got "constructor"/],
    ["to: nothing", (x) => x.to(undefined as never), "E_ARGUMENT", /got undefined/],
    [
      "more dimensions than one call takes",
      () => zeros([1]).reshape(Array(65_530).fill(1)).shape,
      "E_SHAPE|E_NATIVE|E_ARGUMENT",
      /dimensions|too long/,
    ],
  ])("is refused (%s)", (_, call, code, message) => {
    let caught: unknown;
    try {
      call(x.clone());
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({
      name: "BatchCamError",
      message: expect.stringMatching(message),
      code: expect.stringMatching(new RegExp(`^(${code})$`)),
    });
  });

  it("leaves the tensor as it was", () => {
    const y = randn([2, 3]);
    const before = y.data();
    for (const fail of [
      () => y.add_(ones([4])),
      () => y.copy_(ones([4])),
      () => y.indexAdd_(0, tensor([5n]), ones([1, 3])),
    ]) {
      expect(fail).toThrow();
    }
    expect(y.data()).toEqual(before);
  });

  it("does not lose tensors when the results are too many", () => {
    const many = zeros([70_000]);
    expect(() => tidy(() => many.unbind())).toThrow();
    expect(many.sum().item()).toBe(0);
  });
});
