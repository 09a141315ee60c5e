import { describe, expect, it } from "vitest";
import { manualSeed, noGrad, randn, type Tensor, tidy } from "../src/tensor/index.ts";
import { BatchCamCase } from "./support/batch-cam-case.ts";

// The objective is not smooth where a ReLU switches, so steps must be tiny, which float64 allows.
const STEP = 1e-7;
const COMBOS = ["proto", "batch", "within"].flatMap((kind) =>
  ["L1", "L2", "SSIM"].map((distance) => `${kind}_${distance}`),
);

const subjects = [
  { name: "batchcam_cnn_gap", way: "autograd", training: true },
  { name: "batchcam_cnn_gap", way: "closed form", training: false },
  { name: "batchcam_cnn_mlp", way: "autograd", training: true },
  { name: "batchcam_cnn_mlp", way: "autograd", training: false },
] as const;

describe.each(subjects)("the objective of $name by $way, training $training", ({ name, way, training }) => {
  it.each(COMBOS)("changes along a random direction as its gradient predicts: %s", (combo) =>
    tidy(() => {
      const subject = new BatchCamCase(name, "float64");
      const { model } = subject;
      model.train(training);
      const objective = () => {
        const { ce, norm, labels } = subject.forward(way);
        return { ce, total: ce.add(subject.regulariser(combo, norm, labels).mul(2)) };
      };
      manualSeed(11);
      const directions = model.parameters().map((parameter) => randn(parameter.shape, { dtype: "float64" }));
      const { ce, total } = objective();
      const along = (value: Tensor) =>
        [...subject.gradients(value).values()].reduce(
          (sum, g, i) =>
            sum +
            g
              .mul(directions[i] as Tensor)
              .sum()
              .item(),
          0,
        );
      const [expected, byCrossEntropy] = [along(total), along(ce)];
      const [ahead, behind] = [STEP, -2 * STEP].map((step) => {
        move(model.parameters(), directions, step);
        return tidy(() => objective().total.item());
      }) as [number, number];
      expect((ahead - behind) / (2 * STEP)).toBeAllclose(expected, { rtol: 2e-6, atol: 1e-7 });
      expect(Math.abs(expected - byCrossEntropy)).toBeGreaterThan(1e-4); // the regulariser contributes to the gradient
      model.dispose();
    }),
  );
});

describe("each parameter of the mlp network", () => {
  it("has the gradient of finite differences", () =>
    tidy(() => {
      const subject = new BatchCamCase("batchcam_cnn_mlp", "float64");
      const objective = () => {
        const { ce, norm, labels } = subject.forward("autograd");
        return ce.add(subject.regulariser("proto_SSIM", norm, labels));
      };
      const gradients = subject.gradients(objective());
      manualSeed(5);
      for (const [name, parameter] of subject.model.namedParameters()) {
        const direction = randn(parameter.shape, { dtype: "float64" });
        const expected = (gradients.get(name) as Tensor).mul(direction).sum().item();
        const [ahead, behind] = [STEP, -2 * STEP].map((step) => {
          move([parameter], [direction], step);
          return tidy(() => objective().item());
        }) as [number, number];
        move([parameter], [direction], STEP);
        expect((ahead - behind) / (2 * STEP), name).toBeAllclose(expected, { rtol: 2e-6, atol: 1e-7 });
      }
      subject.model.dispose();
    }));
});

function move(parameters: readonly Tensor[], directions: readonly Tensor[], step: number): void {
  tidy(() =>
    noGrad(() => {
      for (const [i, parameter] of parameters.entries()) parameter.add_((directions[i] as Tensor).mul(step));
    }),
  );
}
