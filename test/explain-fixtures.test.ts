import { describe, expect, it } from "vitest";
import { type ExplainOptions, explain, type MethodName, methodOf } from "../src/cam/index.ts";
import type { Model } from "../src/models/index.ts";
import { type Tensor, tidy, where } from "../src/tensor/index.ts";
import { type Fixture, fixture } from "./support/fixtures.ts";
import { networkOf } from "./support/reference-networks.ts";
import { smallCnnOf } from "./support/small-cnn.ts";

const CASES = [
  "cam_small_cnn",
  "cam_small_cnn_mlp",
  "cam_narrow_resnet18_layer4",
  "cam_narrow_resnet18_two_layers",
  "cam_tiny_convnextv2",
];

const modelOf = (reference: Fixture): Model =>
  reference.case.name.includes("small_cnn") ? smallCnnOf(reference) : networkOf(reference);

/** Flips the sign of each sample's map if it is then closer to the reference, because the sign of singular vectors is arbitrary. */
function withSignOf(maps: Tensor, reference: Tensor): Tensor {
  const sign = where(maps.mul(reference).sum([1, 2], { keepDims: true }).lt(0), -1, 1);
  return maps.mul(sign);
}

/** Compares maps by their largest difference relative to the largest value of each sample. */
function expectMaps(maps: Tensor, reference: Tensor, share: number): void {
  const scale = reference.abs().amax([1, 2], { keepDims: true }).clamp(1e-12);
  expect(maps.div(scale)).toBeAllclose(reference.div(scale), { rtol: 0, atol: share });
}

describe.each(CASES)("%s", (name) => {
  const reference = fixture(name);
  const layers = reference.params.target_layers as string[];
  const methods = Object.keys(reference.params.methods) as string[];
  const shown = (method: string, options: ExplainOptions) =>
    explain(modelOf(reference), reference.tensor("input/x"), {
      method,
      targets: reference.tensor("input/y").to("int64"),
      layers,
      ...options,
    }).maps;
  const eigen = (method: string) => method.startsWith("Eigen");
  /** pytorch-grad-cam's AblationCAM divides by the signed score, which this package does only in that library's convention. */
  const signs = (method: string) => (method === "AblationCAM" ? ({ convention: "pytorch-grad-cam" } as const) : {});

  it.each(methods)("%s: raw and signed maps are pytorch-grad-cam's", (method) => {
    for (const layer of layers)
      tidy(() => {
        const expected = reference.tensor(`out/${method}/raw_signed/${layer}`);
        const raw = { layers: [layer], upsample: false, normalize: false, ...signs(method) } as const;
        const signed = shown(method, { ...raw, relu: false });
        expectMaps(eigen(method) ? withSignOf(signed, expected) : signed, expected, reference.tolerance.rtol);
        if (!eigen(method)) expectMaps(shown(method, raw), reference.tensor(`out/${method}/raw/${layer}`), 1e-3);
      });
  });

  it.each(methods.filter((method) => !eigen(method)))("%s: scaled maps are pytorch-grad-cam's", (method) =>
    tidy(() => {
      const expected = reference.tensor(`out/${method}/scaled`);
      expect(shown(method, signs(method))).toBeAllclose(expected, { rtol: 0, atol: 1e-3 });
      expect(shown(method, { convention: "pytorch-grad-cam" })).toBeAllclose(expected, { rtol: 0, atol: 1e-5 });
    }),
  );

  it.each(methods.filter(eigen))("%s: scaled maps are pytorch-grad-cam's once the sign is", (method) =>
    tidy(() => {
      const expected = reference.tensor(`out/${method}/scaled`);
      const theirs = reference.tensor(`out/${method}/raw_signed/${layers[0]}`);
      const signed = shown(method, { relu: false, upsample: false, normalize: false });
      const agrees = signed.mul(theirs).sum([1, 2]).gt(0).data();
      for (const [sample, same] of agrees.entries())
        if (same)
          expect(shown(method, {}).select(0, sample)).toBeAllclose(expected.select(0, sample), { rtol: 0, atol: 1e-3 });
    }),
  );

  const torchCam = reference.names("out/torchcam/").filter((path) => path.endsWith("/raw"));
  it.runIf(torchCam.length > 0)("maps in torch-cam's convention are torch-cam's", () => {
    for (const path of torchCam)
      tidy(() => {
        const method: MethodName = methodOf(path.split("/")[2] as string);
        const options = { convention: "torch-cam" } as const;
        expectMaps(shown(method, { ...options, normalize: false }), reference.tensor(path), 1e-3);
        const normalized = reference.tensor(path.replace("/raw", "/normalized"));
        expect(shown(method, options)).toBeAllclose(normalized, { rtol: 0, atol: 1e-3 });
      });
  });
});
