import { describe, expect, it } from "vitest";
import { expectShapes } from "./expect.ts";
import { type Tensor, tidy, zeros } from "./index.ts";

const check = (tensors: Record<string, readonly [number[], string]>) =>
  tidy(() => {
    const made = Object.entries(tensors).map(([name, [shape, pattern]]): [string, readonly [Tensor, string]] => [
      name,
      [zeros(shape), pattern],
    ]);
    return expectShapes("f", Object.fromEntries(made));
  });

describe("expectShapes", () => {
  it("gives the sizes that letters mean, a size of 0 among them, and none for numbers", () => {
    expect(check({ x: [[2, 0, 3], "N C 3"], y: [[0], "C"] })).toEqual({ N: 2, C: 0 });
  });

  it.each<[string, Parameters<typeof check>[0], string]>([
    ["a number that is not met by itself", { x: [[3, 5], "4 C"] }, "f: x must be [4, C], got [3, 5]"],
    ["a number that is met by itself", { x: [[4, 5, 6], "4 C"] }, "f: x must be [4, C], got [4, 5, 6]"],
    ["a number behind a letter", { x: [[3, 5], "C 4"] }, "f: x must be [C, 4], got [3, 5]"],
    [
      "a letter with the size that it has from before",
      { x: [[2, 5], "N C"], y: [[2, 6], "2 C"] },
      "f: y must be [2, C=5], got [2, 6]",
    ],
    ["a letter that stands twice in one pattern", { x: [[2, 3], "N N"] }, "f: x must be [N, N=2], got [2, 3]"],
    ["a size of 0", { x: [[0], "N"], y: [[1], "N"] }, "f: y must be [N=0], got [1]"],
  ])("prints %s", (_, tensors, message) => {
    expect(() => check(tensors)).toThrow(expect.objectContaining({ code: "E_SHAPE", message }));
  });

  it("names the operation and the argument that is not a tensor", () => {
    expect(() => expectShapes("f", { x: [null as never, "N"] })).toThrow(/^f: x: expected a Tensor, got null/);
  });
});
