import { describe, expect, it } from "vitest";
import { type ExplainOptions, explain } from "../src/cam/index.ts";
import type { Model } from "../src/models/index.ts";
import { type Tensor, tidy, where } from "../src/tensor/index.ts";
import { type Fixture, fixture, fixtureNames } from "./support/fixtures.ts";
import { networkOf } from "./support/reference-networks.ts";
import { smallCnnOf } from "./support/small-cnn.ts";

const RAW = { upsample: false, normalize: false } as const;

/** One of the fixtures `cam_extra_*`, with the network and the images of the case that it extends. */
class ExtraCase {
  readonly reference: Fixture;
  readonly base: Fixture;
  readonly model: Model;

  constructor(name: string) {
    this.reference = fixture(name);
    this.base = fixture(this.reference.params.base);
    this.model = (name.includes("small_cnn") ? smallCnnOf(this.base) : networkOf(this.base)).to("float64");
  }

  maps(method: string, options: ExplainOptions = {}): Tensor {
    const x = this.base.tensor("input/x").to("float64");
    const targets = this.base.tensor("input/y").to("int64");
    const layers = this.reference.params.target_layers;
    return explain(this.model, x, { method, targets, layers, ...options }).maps;
  }

  /** Compares maps by their difference relative to the largest value of each sample, with the float64 result if the case has one. */
  expectRaw(maps: Tensor, path: string, share = 1e-6): void {
    const expected = this.reference.reference(path).to("float64");
    const scale = expected
      .flatten(1)
      .abs()
      .amax([1])
      .view([-1, ...expected.sizes.slice(1).map(() => 1)]);
    expect(maps.div(scale)).toBeAllclose(expected.div(scale), { rtol: 0, atol: share });
  }
}

const cases = (suffix: string) => fixtureNames("cam_extra_").filter((name) => name.endsWith(suffix));
const strongest = (gradient: Tensor) => gradient.abs().amax([1]);

describe.each(cases("_smoothing"))("%s", (name) => {
  const subject = new ExtraCase(name);

  it("augSmooth is pytorch-grad-cam's mean of six maps, not scaled again", () =>
    tidy(() => {
      const expected = subject.reference.tensor("out/GradCAM/aug/scaled");
      expect(subject.maps("GradCAM", { augSmooth: true })).toBeAllclose(expected, { rtol: 0, atol: 1e-3 });
    }));

  it("eigenSmooth is its first principal component, up to the sign", () =>
    tidy(() => {
      const path = "out/GradCAM/eigen/raw_signed";
      const maps = subject.maps("GradCAM", { ...RAW, relu: false, eigenSmooth: true });
      const theirs = subject.reference.reference(path).to("float64");
      const sign = where(maps.mul(theirs).sum([1, 2], { keepDims: true }).lt(0), -1, 1);
      subject.expectRaw(maps.mul(sign), path, 1e-9);
    }));
});

describe.each(cases("_fullgrad"))("%s", (name) => {
  const subject = new ExtraCase(name);

  it("FullGrad is pytorch-grad-cam's, its sum and its scaled map", () =>
    tidy(() => {
      subject.expectRaw(subject.maps("FullGrad", { normalize: false }), "out/FullGrad/sum", 1e-5);
      const scaled = subject.reference.tensor("out/FullGrad/scaled");
      expect(subject.maps("FullGrad")).toBeAllclose(scaled, { rtol: 0, atol: 1e-4 });
    }));
});

describe.each(cases("_guided"))("%s", (name) => {
  const subject = new ExtraCase(name);

  it("GuidedBackprop is pytorch-grad-cam's gradient", () =>
    tidy(() => {
      const expected = strongest(subject.reference.reference("out/GuidedBackprop")).to("float64");
      expect(subject.maps("GuidedBackprop", { normalize: false })).toHaveRelL2(expected, { relL2: 1e-9 });
    }));
});

describe.each(cases("_classes"))("%s", (name) => {
  const subject = new ExtraCase(name);

  it("targets all gives the maps of each class in one call", () =>
    tidy(() => {
      const all = { targets: "all" } as const;
      subject.expectRaw(
        subject.maps("GradCAM", { ...all, ...RAW, relu: false }),
        "out/GradCAM/classes/raw_signed",
        1e-9,
      );
      const scaled = subject.reference.tensor("out/GradCAM/classes/scaled");
      expect(subject.maps("GradCAM", all)).toBeAllclose(scaled, { rtol: 0, atol: 1e-3 });
    }));
});

describe.each(cases("_torchcam"))("%s", (name) => {
  const subject = new ExtraCase(name);
  const options = { ...RAW, convention: "torch-cam" } as const;

  it("ScoreCAM and GradCAM++ in torch-cam's convention are torch-cam's", () =>
    tidy(() => {
      subject.expectRaw(subject.maps("ScoreCAM", options), "out/ScoreCAM/raw");
      subject.expectRaw(subject.maps("GradCAM++", options), "out/GradCAMpp/raw");
      const normalized = subject.reference.reference("out/GradCAMpp/normalized");
      const maps = subject.maps("GradCAM++", { convention: "torch-cam" });
      expect(maps).toBeAllclose(normalized, { rtol: 0, atol: 1e-5 });
    }));

  it("SmoothGradCAM++ is its formula over the given noise, with the mean of all copies", () =>
    tidy(() => {
      const noise = subject.reference.tensor("input/noise").to("float64");
      subject.expectRaw(subject.maps("SmoothGradCAM++", { ...RAW, noise }), "out/SmoothGradCAMpp/mean/raw");
      subject.expectRaw(subject.maps("SmoothGradCAM++", { ...RAW, noise: 0 }), "out/SmoothGradCAMpp/std0/raw");
    }));
});

describe.each(cases("_captum"))("%s", (name) => {
  const subject = new ExtraCase(name);

  it("Saliency and IntegratedGradients are captum's", () =>
    tidy(() => {
      const saliency = strongest(subject.reference.reference("out/Saliency")).to("float64");
      expect(subject.maps("Saliency", { normalize: false })).toHaveRelL2(saliency, { relL2: 1e-9 });
      const integrated = subject.reference.reference("out/IntegratedGradients/gausslegendre").sum([1]).to("float64");
      const maps = subject.maps("IntegratedGradients", { normalize: false, relu: false, steps: 20 });
      expect(maps).toHaveRelL2(integrated, { relL2: 1e-6 });
      expect(subject.maps("IntegratedGradients", { normalize: false, steps: 20 })).toBeAllclose(maps.abs());
    }));
});

describe.each(cases("_smoothgrad"))("%s", (name) => {
  const subject = new ExtraCase(name);

  it("SmoothGrad is captum's over the given noise", () =>
    tidy(() => {
      const noise = subject.reference.tensor("input/noise").to("float64");
      const expected = strongest(subject.reference.reference("out/SmoothGrad/signed")).to("float64");
      expect(subject.maps("SmoothGrad", { normalize: false, noise })).toHaveRelL2(expected, { relL2: 1e-9 });
    }));
});
