import { describe, expect, it } from "vitest";
import { stridedExtent } from "./strided-extent.ts";

describe("stridedExtent", () => {
  it.each([
    ["a matrix", [2, 3], [3, 1], { numel: 6, extent: 6 }],
    ["a transposed matrix", [3, 2], [1, 3], { numel: 6, extent: 6 }],
    ["every second column", [2, 2], [4, 2], { numel: 4, extent: 7 }],
    ["one value repeated", [5], [0], { numel: 5, extent: 1 }],
    ["a scalar", [], [], { numel: 1, extent: 1 }],
    ["no elements", [4, 0], [9, 9], { numel: 0, extent: 0 }],
  ])("counts the elements and how far they reach (%s)", (_, shape, strides, expected) => {
    expect(stridedExtent(shape, strides, 4)).toEqual(expected);
  });

  it.each([
    ["too many elements", [2 ** 30, 2 ** 30], [1, 1]],
    ["too many elements beside an empty dimension", [2 ** 30, 2 ** 30, 0], [1, 1, 1]],
    ["strides that reach too far", [2, 2], [2 ** 53 - 1, 1]],
  ])("is null for more bytes than any memory has (%s)", (_, shape, strides) => {
    expect(stridedExtent(shape, strides, 4)).toBeNull();
  });
});
