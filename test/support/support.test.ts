import { describe, expect, it } from "vitest";
import { tensor } from "../../src/tensor/index.ts";
import { fixture, fixtureNames, hashVectors } from "./fixtures.ts";
import { hashedValues } from "./hashed-weights.ts";

describe("fixture", () => {
  it("has every case of the manifest, with the tensors that it lists", () => {
    expect(fixtureNames().length).toBe(99);
    for (const name of fixtureNames()) {
      const { case: entry, tensor, names } = fixture(name);
      expect(names().length).toBeGreaterThan(0);
      for (const path of names()) {
        using value = tensor(path);
        expect(`${value.dtype}[${value.shape.join(", ")}]`).toBe(entry.tensors[path]);
      }
    }
  });

  it("returns tolerances, parameters and the most precise reference", () => {
    const batchNorm = fixture("op_batchnorm_train");
    expect(batchNorm.tolerance).toEqual({ rtol: 1e-4, atol: 2e-6, relL2: 2e-4, absL2: 1e-6 });
    expect(batchNorm.reference("out/y").dtype).toBe("float64");
    expect(batchNorm.names("grad64/")).toEqual(["grad64/b", "grad64/w", "grad64/x"]);
    expect(fixture("class_mean_images").params).toEqual({ num_classes: 4 });
    expect(fixture("ssim_multichannel").has("out64/window")).toBe(true);
  });

  it("names a case or a tensor that does not exist in the error", () => {
    expect(() => fixture("op_none")).toThrow(/no case "op_none"/);
    expect(() => fixture("op_relu").tensor("out/none")).toThrow(/op_relu\.safetensors: no tensor "out\/none"/);
  });
});

describe("hashedValues", () => {
  it.each(Object.entries(hashVectors))("begin with the values of the manifest for %s", (name, expected) => {
    expect([...hashedValues(name, expected.length)]).toEqual(expected);
  });
});

describe("toBeAllclose", () => {
  it("takes tensors, typed arrays, nested arrays and numbers", () => {
    expect(tensor([[1, 2]])).toBeAllclose([[1, 2]]);
    expect(new Float32Array([0.1])).toBeAllclose([0.1]);
    expect(tensor([3n])).toBeAllclose(BigInt64Array.of(3n));
    expect(2).toBeAllclose(2.000001);
    expect(tensor([1.1])).not.toBeAllclose([1], { rtol: 0.01 });
    expect([]).toBeAllclose(new Float64Array(0));
  });

  it("reports the worst element, its position and how many are wrong", () => {
    const message = /2 of 4 elements .* the worst at \[1, 0\] expected 3, got 4: \|a - b\| = 1, allowed 0\.3/;
    const a = tensor([
      [1, 2.5],
      [4, 4],
    ]);
    expect(() =>
      expect(a).toBeAllclose(
        [
          [1, 2],
          [3, 4],
        ],
        { rtol: 0.1, atol: 0 },
      ),
    ).toThrow(message);
  });

  it("distinguishes shapes with the same values", () => {
    expect(() => expect(tensor([[1, 2]])).toBeAllclose([1, 2])).toThrow(/expected shape \[2\], got \[1, 2\]/);
  });

  it("treats NaN as unequal unless asked to, and infinity as equal to itself", () => {
    expect([Number.NaN]).not.toBeAllclose([Number.NaN]);
    expect([Number.NaN]).toBeAllclose([Number.NaN], { equalNan: true });
    expect([1]).not.toBeAllclose([Number.NaN], { equalNan: true });
    expect([Number.POSITIVE_INFINITY]).toBeAllclose([Number.POSITIVE_INFINITY]);
    expect([Number.POSITIVE_INFINITY]).not.toBeAllclose([Number.NEGATIVE_INFINITY]);
    expect([1]).not.toBeAllclose([Number.POSITIVE_INFINITY]);
  });
});

describe("toHaveRelL2", () => {
  it("compares the norm of the difference with the norm of the reference", () => {
    expect([3, 4.4]).toHaveRelL2([3, 4], { relL2: 0.081 });
    expect([3, 4.4]).not.toHaveRelL2([3, 4], { relL2: 0.079 });
    expect([0, 0.5]).toHaveRelL2([0, 0], { relL2: 0, absL2: 0.5 });
    expect([Number.NaN]).not.toHaveRelL2([0], { relL2: 1, absL2: 1 });
    expect(() => expect([1]).toHaveRelL2([2], { relL2: 0.1 })).toThrow(/\+ 0 = 0\.2, got 1 .*relative 0\.5/);
  });
});
