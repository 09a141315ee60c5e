import { describe, expect, it } from "vitest";
import { grad, manualSeed, noGrad, ones, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { principalComponent } from "./eigen.ts";

describe("principalComponent", () => {
  it.each([
    ["more places than channels", [3, 4, 5, 6]],
    ["more channels than places", [3, 40, 3, 4]],
    ["one channel", [2, 1, 3, 3]],
    ["one place", [2, 5, 1, 1]],
  ])("carries the largest variance, whichever product is formed: %s", (_, shape) =>
    tidy(() => {
      manualSeed(2);
      const summands = randn(shape, { dtype: "float64" });
      const maps = principalComponent(summands);
      const flat = summands.flatten(2);
      const centred = flat.sub(flat.mean([2], { keepDims: true })); // (B, K, h·w)
      // Power iteration finds the same direction by an independent algorithm.
      let direction = randn([shape[0] as number, shape[1] as number, 1], { dtype: "float64" });
      for (let i = 0; i < 3000; i++) {
        const next = centred.bmm(centred.transpose(1, 2).bmm(direction));
        direction = next.div(next.norm([1], { keepDims: true }).clamp(1e-300));
      }
      const expected = direction.transpose(1, 2).bmm(centred).squeeze(1).view(maps.shape);
      expect(maps.abs()).toBeAllclose(expected.abs(), { rtol: 1e-6, atol: 1e-8 });
    }),
  );

  it("takes the sign in which it is bright where the summands are large", () =>
    tidy(() => {
      const blob = zeros([1, 3, 4, 4]);
      blob.narrow(2, 1, 2).narrow(3, 1, 2).fill_(2);
      const map = principalComponent(blob).select(0, 0);
      expect(map.select(0, 1).select(0, 1).item()).toBeGreaterThan(0);
      expect(map.select(0, 0).select(0, 0).item()).toBeLessThan(0);
    }));

  it("is zero without variance, with a finite gradient", () =>
    tidy(() => {
      for (const summands of [zeros([2, 3, 4, 4]), ones([2, 3, 4, 4]).mul(0.3)]) {
        const leaf = summands.detach().requiresGrad_();
        const maps = principalComponent(leaf);
        expect(maps.abs().max().item()).toBeLessThan(1e-6);
        expect((grad(maps.sum(), leaf)[0] as Tensor).isfinite().all().item()).toBe(1);
      }
    }));

  it.each([
    [4, 5, 6],
    [40, 3, 4],
  ])("has the gradient of finite differences though the product has low rank: %i channels", (channels, height, width) =>
    tidy(() => {
      manualSeed(4);
      const summands = randn([2, channels, height, width], { dtype: "float64", requiresGrad: true });
      const weights = randn([2, height, width], { dtype: "float64" });
      const loss = () => principalComponent(summands).mul(weights).sum();
      const [gradient] = grad(loss(), summands) as [Tensor];
      const direction = randn(summands.shape, { dtype: "float64" });
      const at = (by: number) => {
        noGrad(() => summands.add_(direction.mul(by)));
        const value = noGrad(loss).item();
        noGrad(() => summands.sub_(direction.mul(by)));
        return value;
      };
      const expected = (at(1e-6) - at(-1e-6)) / 2e-6;
      expect(gradient.mul(direction).sum().item()).toBeCloseTo(expected, 5);
    }),
  );

  it("has 32 bits for 16", () =>
    tidy(() => {
      expect(
        principalComponent(
          tensor([
            [
              [
                [1, 2],
                [3, 5],
              ],
            ],
          ]).to("bfloat16"),
        ).dtype,
      ).toBe("float32");
    }));
});
