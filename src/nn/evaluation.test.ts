import { describe, expect, it } from "vitest";
import { BatchNorm2d, ReLU, Sequential } from "./index.ts";
import { inEvaluation } from "./module.ts";

function mixed(): Sequential {
  const root = new Sequential(new BatchNorm2d(2), new ReLU());
  (root.moduleAt("0") as BatchNorm2d).training = false;
  return root;
}
const modes = (root: Sequential) => Array.from(root.namedModules().values(), ({ training }) => training);

describe("inEvaluation", () => {
  it("runs in evaluation mode and gives each module back in its own", () => {
    const root = mixed();
    expect(inEvaluation(root, () => modes(root))).toEqual([false, false, false]);
    expect(modes(root)).toEqual([true, false, true]);
  });

  it("does so where the function throws", () => {
    const root = mixed();
    expect(() =>
      inEvaluation(root, () => {
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(modes(root)).toEqual([true, false, true]);
  });

  it("waits for an asynchronous function, resolved or rejected", async () => {
    const root = mixed();
    const seen = inEvaluation(root, async () => {
      await Promise.resolve();
      return modes(root);
    });
    expect(modes(root)).toEqual([false, false, false]);
    expect(await seen).toEqual([false, false, false]);
    expect(modes(root)).toEqual([true, false, true]);
    await expect(inEvaluation(root, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(modes(root)).toEqual([true, false, true]);
  });
});
