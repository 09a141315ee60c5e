import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batchCam, deadMaps } from "../src/cam/index.ts";
import { getRngState, grad, type Tensor, tensor, tidy } from "../src/tensor/index.ts";
import { BatchCamCase } from "./support/batch-cam-case.ts";

const NAMES = ["batchcam_cnn_gap", "batchcam_cnn_mlp"] as const;

interface Explained {
  maps: Tensor;
  logits: Tensor;
}

/** A fixture's network in evaluation mode, and a function that computes normalised maps of any of its samples. */
function explainer(name: string, dtype: "float32" | "float64" = "float32") {
  const subject = new BatchCamCase(name, dtype);
  subject.model.eval();
  const images = subject.reference.tensor("input/x").to(dtype);
  const labels = Array.from(subject.reference.tensor("input/y").data(), Number);
  const explain = (samples: readonly number[]): Explained => {
    const x = images.indexSelect(0, tensor(samples, { dtype: "int64" }));
    const { logits, taps } = subject.model.forwardWith(x, { taps: ["act3"] });
    const targets = samples.map((b) => labels[b] as number);
    const maps = batchCam(logits, taps.act3 as Tensor, targets, { upsample: [28, 28], normalize: true });
    return { maps, logits };
  };
  return { ...subject, subject, labels, explain };
}

const precisions = NAMES.flatMap((name) => [
  { name, dtype: "float32" as const, relL2: 1e-6 },
  { name, dtype: "float64" as const, relL2: 1e-14 },
]);

describe.each(precisions)("the maps of $name in evaluation mode, $dtype", ({ name, dtype, relL2 }) => {
  it("are equal to those of each sample alone", () =>
    tidy(() => {
      const { explain, labels, model } = explainer(name, dtype);
      const { maps } = explain([...labels.keys()]);
      for (const b of labels.keys()) expect(explain([b]).maps).toHaveRelL2(maps.narrow(0, b, 1), { relL2 });
      model.dispose();
    }));

  it("do not depend on the other samples or on their order", () =>
    tidy(() => {
      const { explain, labels, model } = explainer(name, dtype);
      const { maps } = explain([...labels.keys()]);
      const choice = fc.array(fc.nat(labels.length - 1), { minLength: 1, maxLength: 10 });
      fc.assert(
        fc.property(choice, (samples) =>
          tidy(() => {
            const expected = maps.indexSelect(0, tensor(samples, { dtype: "int64" }));
            expect(explain(samples).maps).toHaveRelL2(expected, { relL2 });
          }),
        ),
        { numRuns: 15 },
      );
      model.dispose();
    }));
});

describe.each(NAMES)("batchCam on %s", (name) => {
  it.each([true, false])("does not change the network or the generator (training %s)", (training) =>
    tidy(() => {
      const { subject, model } = explainer(name);
      model.train(training);
      const { logits, taps } = model.forwardWith(subject.reference.tensor("input/x"), { taps: ["act3"] });
      const labels = subject.reference.tensor("input/y");
      const state = () => Array.from(model.stateDict(), ([key, value]) => [key, Array.from(value.data(), Number)]);
      const [before, generator] = [state(), getRngState()];
      batchCam(logits, taps.act3 as Tensor, labels, { upsample: [28, 28], normalize: true });
      expect(state()).toEqual(before);
      expect(getRngState().equal(generator)).toBe(true);
      expect(Array.from(model.namedModules().values(), (module) => module.training)).not.toContain(!training);
      for (const parameter of model.parameters()) {
        expect(parameter.grad).toBeNull();
        expect(parameter.requiresGrad).toBe(true);
      }
      model.dispose();
    }),
  );

  it("keeps the logits' graph for the cross-entropy, and can be repeated on it", () =>
    tidy(() => {
      const { subject, model } = explainer(name);
      const { ce, cam, norm } = subject.forward("autograd");
      const total = ce.add(cam.mean()).add(norm.mean());
      const gradients = grad(total, model.parameters(), { allowUnused: true });
      for (const gradient of gradients) expect(gradient.isfinite().all().item()).toBe(1);
      model.dispose();
    }));

  it("passes NaN from one image only to its own map, so that it is noticed", () =>
    tidy(() => {
      const { subject, model } = explainer(name);
      const x = subject.reference.tensor("input/x");
      x.narrow(0, 2, 1).narrow(2, 10, 1).fill_(Number.NaN);
      const { norm, logits } = subject.forward("autograd", { x });
      const bad = Array.from({ length: 7 }, (_, b) => norm.select(0, b).isnan().any().item());
      expect(bad).toEqual([0, 0, 1, 0, 0, 0, 0]);
      expect(logits.select(0, 2).isnan().all().item()).toBe(1);
      model.dispose();
    }));
});

describe("a batch of dead maps", () => {
  it("is counted, is zero, and adds nothing to the gradient of the cross-entropy", () =>
    tidy(() => {
      const subject = new BatchCamCase("batchcam_edge_zero_cam", "float32");
      const { cam, norm, labels, ce } = subject.forward("autograd");
      expect(Array.from(deadMaps(cam).data(), Number)).toEqual([1, 1, 1, 1, 1, 1, 1]);
      expect(norm.abs().max().item()).toBe(0);
      for (const combo of ["proto_SSIM", "batch_L1", "within_L2", "within_sg_SSIM"]) {
        const alone = subject.gradients(ce.add(subject.regulariser(combo, norm, labels)));
        for (const [parameter, gradient] of subject.gradients(ce))
          expect(alone.get(parameter)).toBeAllclose(gradient, { rtol: 0, atol: 0 });
      }
      subject.model.dispose();
    }));

  it("is counted sample by sample if other maps are not dead", () =>
    tidy(() => {
      const subject = new BatchCamCase("batchcam_edge_zero_cam_mixed", "float32");
      const { cam, norm } = subject.forward("closed form");
      expect(deadMaps(cam).sum().item()).toBe(2);
      expect(deadMaps(norm).equal(deadMaps(cam))).toBe(true);
      subject.model.dispose();
    }));
});
