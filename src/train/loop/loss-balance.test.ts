import { describe, expect, it } from "vitest";
import { createModel } from "../../models/index.ts";
import { backward, manualSeed, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { lossBalance } from "./loss-balance.ts";
import type { Terms } from "./objective.ts";

function subject() {
  manualSeed(1);
  const model = createModel("simple-cnn", { numClasses: 3, inChannels: 1, imageSize: 8 });
  const images = tensor(
    Array.from({ length: 2 * 64 }, (_, i) => Math.sin(i)),
    { shape: [2, 1, 8, 8] },
  );
  return { model, images };
}

const only = (terms: Partial<Terms>): Terms =>
  ({ prototypeLoss: null, batchCamLoss: null, baselineLoss: null, ...terms }) as Terms;

/** The norm of the gradient that `backward` leaves in `.grad`. */
function normOf(model: ReturnType<typeof subject>["model"], loss: Tensor): number {
  for (const parameter of model.parameters()) parameter.grad = null;
  backward(loss, { retainGraph: true });
  const squares = model
    .parameters()
    .map(({ grad }) => (grad === null ? 0 : (grad as Tensor).to("float64").pow(2).sum().item()));
  return Math.sqrt(squares.reduce((sum, value) => sum + value, 0));
}

describe("lossBalance", () => {
  it("gives each term's value, and the norm of its weighted gradient as backward leaves it", () => {
    tidy(() => {
      const { model, images } = subject();
      const logits = model.forward(images);
      const [crossEntropy, prototypeLoss] = [logits.pow(2).mean(), logits.sin().sum()];
      const terms = lossBalance(model, only({ crossEntropy, prototypeLoss }), { prototypeLoss: 0.25 });
      expect(terms.map(({ term, weight }) => [term, weight])).toEqual([
        ["crossEntropy", 1],
        ["prototypeLoss", 0.25],
      ]);
      expect(terms[0]?.gradNorm).toBeCloseTo(normOf(model, crossEntropy), 5);
      expect(terms[1]?.gradNorm).toBeCloseTo(0.25 * normOf(model, prototypeLoss), 5);
      expect(terms[1]?.value).toBe(prototypeLoss.item());
      model.dispose();
    });
  });

  it("says by the cosine whether a term pulls with the cross-entropy or against it", () => {
    tidy(() => {
      const { model, images } = subject();
      const crossEntropy = model.forward(images).pow(2).mean();
      const same = only({ crossEntropy, prototypeLoss: crossEntropy.mul(3), batchCamLoss: crossEntropy.neg() });
      const [own, withIt, against] = lossBalance(model, same, {});
      expect(own?.cosine).toBeCloseTo(1, 12);
      expect(withIt?.cosine).toBeCloseTo(1, 6);
      expect(against?.cosine).toBeCloseTo(-1, 6);
      model.dispose();
    });
  });

  it("leaves frozen parameters out, which have no gradient", () => {
    tidy(() => {
      const { model, images } = subject();
      const [first] = model.parameters();
      (first as Tensor).requiresGrad = false;
      const crossEntropy = model.forward(images).pow(2).mean();
      const [own] = lossBalance(model, only({ crossEntropy }), {});
      expect(own?.gradNorm).toBeCloseTo(normOf(model, crossEntropy), 5);
      model.dispose();
    });
  });

  it("has no cosine for a term without gradient, and leaves .grad and the graph alone", () => {
    tidy(() => {
      const { model, images } = subject();
      const crossEntropy = model.forward(images).pow(2).mean();
      const [, still] = lossBalance(model, only({ crossEntropy, prototypeLoss: crossEntropy.mul(0) }), {});
      expect(still).toMatchObject({ value: 0, gradNorm: 0, cosine: null });
      expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
      backward(crossEntropy);
      model.dispose();
    });
  });
});
