import { describe, expect, it } from "vitest";
import { SGD } from "../src/optim/index.ts";
import { backward, type DType, type Tensor, tidy } from "../src/tensor/index.ts";
import { BatchCamCase, type Forward, type Way } from "./support/batch-cam-case.ts";
import { type Fixture, fixture, fixtureNames } from "./support/fixtures.ts";

const CONSTANT = ["batchcam_edge_constant_cam", "batchcam_edge_1x1"];
const DTYPES = ["float32", "float64"] as const;

/** The manifest's tolerances for float32; float64 results may differ only by rounding. */
function tolerances(name: string, dtype: DType) {
  if (dtype === "float64") return { values: { rtol: 1e-11, atol: 1e-12 }, gradients: { relL2: 1e-11, absL2: 1e-12 } };
  const { rtol, atol, relL2, absL2 } = fixture(name).tolerance;
  return { values: { rtol, atol }, gradients: { relL2, absL2 } };
}

/**
 * The absolute tolerance of the float32 activations. The fixture stores them in float32 only, so both sides have rounding, and it
 * depends on the order in which a processor's kernel adds: torch's own run is 2.4 times further from float64 than the manifest's
 * tolerance for `batchcam_resnet18_layer4`. A sum of K products has a rounding error of about u·√K times its size (u = 2⁻²⁴), the
 * errors of the layers add as independent ones do, and normalisation keeps their relative size. The factor 6 is √2, for the two sides,
 * times 4.2 standard deviations, for the largest of some 4,000 elements.
 */
function activationsAtol(reference: Fixture, stored: Tensor, { atol }: { atol: number }) {
  const kernels = reference.names("param/").map((path) => reference.tensor(path).sizes);
  const products = kernels.reduce(
    (sum, [, ...inner]) => sum + (inner.length === 3 ? inner.reduce((a, b) => a * b) : 0),
    0,
  );
  const rms = Math.sqrt(stored.square().mean().item());
  return Math.max(atol, 6 * 2 ** -24 * Math.sqrt(products) * rms);
}

// Layers that are followed only by pooling and a linear layer, for which the closed form exists.
const LAST_MAPS = ["act3", "layer4"];
const waysOf = (name: string): Way[] =>
  fixture(name).has("param/fc.weight") && LAST_MAPS.includes(fixture(name).params.target_layer)
    ? ["autograd", "closed form"]
    : ["autograd"];

const FAMILIES = ["batchcam_cnn_", "batchcam_edge_", "batchcam_resnet18_", "batchcam_convnextv2_"];
const cases = FAMILIES.flatMap(fixtureNames).flatMap((name) =>
  DTYPES.flatMap((dtype) => waysOf(name).map((way) => ({ name, dtype, way }))),
);

const usual = cases.filter(({ name }) => !CONSTANT.includes(name));
const constant = cases.filter(({ name }) => CONSTANT.includes(name));

/** Runs in a tidy with the case and its maps. */
function withCase(
  { name, dtype, way }: (typeof cases)[number],
  check: (subject: BatchCamCase, forward: Forward) => void,
) {
  tidy(() => {
    using network = disposable(new BatchCamCase(name, dtype));
    check(network.value, network.value.forward(way));
  });
}

const disposable = (value: BatchCamCase) => ({ value, [Symbol.dispose]: () => value.model.dispose() });

describe.each(usual)("$name in $dtype by $way", (subject) => {
  const { values, gradients } = tolerances(subject.name, subject.dtype);

  it("has torch's logits, activations, weights and maps", () =>
    withCase(subject, ({ reference }, forward) => {
      expect(forward.logits).toBeAllclose(reference.reference("out/logits"), values);
      const stored = reference.tensor("out/A"); // float32, with the rounding of torch's own run
      if (subject.dtype === "float32")
        expect(forward.activations).toBeAllclose(stored, {
          ...values,
          atol: activationsAtol(reference, stored, values),
        });
      else expect(forward.activations).toHaveRelL2(stored, { relL2: 1e-5 });
      expect(forward.gradient).toBeAllclose(reference.reference("out/G"), values);
      expect(forward.alpha).toBeAllclose(reference.reference("out/alpha"), values);
      expect(forward.signed).toBeAllclose(reference.reference("out/cam_signed"), values);
      expect(forward.cam).toBeAllclose(reference.reference("out/cam"), values);
      expect(forward.up).toBeAllclose(reference.reference("out/up"), values);
      expect(forward.norm).toBeAllclose(reference.reference("out/norm"), values);
      expect(forward.ce.reshape([1])).toBeAllclose(reference.reference("out/ce"), values);
    }));

  it("has torch's mean map of each class that is present", () =>
    withCase(subject, ({ reference }, { norm, labels }) => {
      const expected = reference.reference("out/class_mean_norm");
      const present = Array.from(reference.tensor("out/classes_present").data(), Number);
      expect(expected.sizes[0]).toBe(present.length);
      for (const [row, label] of present.entries()) {
        const own = labels.eq(label).nonzero().flatten();
        expect(norm.indexSelect(0, own).mean(0)).toBeAllclose(expected.select(0, row), values);
      }
    }));

  it("has torch's regularisers, objectives and gradients", () =>
    withCase(subject, (network, { norm, labels, ce }) => {
      const { reference } = network;
      expectGradients(network, ce, { of: "ce", ...gradients });
      for (const combo of reference.params.combos as string[]) {
        const regulariser = network.regulariser(combo, norm, labels);
        const total = ce.add(regulariser.mul(reference.params.lam));
        expect(regulariser.reshape([1])).toBeAllclose(reference.reference(`out/reg/${combo}`), values);
        expect(total.reshape([1])).toBeAllclose(reference.reference(`out/total/${combo}`), values);
        expectGradients(network, total, { of: combo, ...gradients });
      }
    }));

  it("leaves running statistics as one forward pass does", () =>
    withCase(subject, ({ reference, model }) => {
      const buffers = model.namedBuffers();
      for (const path of reference.names("out/after/")) {
        expect(buffers.get(path.slice("out/after/".length)) as Tensor).toBeAllclose(reference.reference(path), values);
      }
    }));
});

describe.each(constant)("$name in $dtype by $way", (subject) => {
  const { values } = tolerances("batchcam_cnn_gap", subject.dtype);

  it("has torch's raw maps, and zeros for constant maps", () =>
    withCase(subject, ({ reference }, forward) => {
      expect(forward.cam).toBeAllclose(reference.reference("out/cam"), values);
      expect(forward.norm.abs().max().item()).toBe(0);
    }));

  it("has the exact regularisers, and only the cross-entropy's gradient", () =>
    withCase(subject, (network, { norm, labels, ce }) => {
      const { reference } = network;
      for (const combo of reference.params.combos as string[]) {
        const regulariser = network.regulariser(combo, norm, labels);
        expect(regulariser.reshape([1])).toBeAllclose(reference.reference(`out/reg/${combo}`), { rtol: 0, atol: 1e-6 });
        expectGradients(network, ce.add(regulariser.mul(reference.params.lam)), { of: "ce", relL2: 1e-3 });
      }
    }));
});

interface GradientCheck {
  of: string;
  relL2: number;
  absL2?: number;
}

function expectGradients(network: BatchCamCase, total: Tensor, { of, ...tolerance }: GradientCheck): void {
  const gradients = network.gradients(total);
  expect([...gradients.keys()]).toEqual(network.reference.params.parameter_order);
  for (const [parameter, gradient] of gradients) {
    expect(gradient, `${of}: ${parameter}`).toHaveRelL2(
      network.reference.reference(`grad/${of}/${parameter}`),
      tolerance,
    );
  }
}

describe("batchcam_training_trajectory", () => {
  const reference = fixture("batchcam_training_trajectory");
  const combos = ["proto_L2", "batch_SSIM", "within_sg_L1"];
  const runs = combos.flatMap((combo) =>
    DTYPES.flatMap((dtype) => (["autograd", "closed form"] as const).map((way) => ({ combo, dtype, way }))),
  );

  it.each(runs)("is torch's over eight steps with $combo in $dtype by $way", ({ combo, dtype, way }) => {
    const { values, gradients } = tolerances(reference.case.name, dtype);
    tidy(() => {
      using network = disposable(new BatchCamCase(reference.case.name, dtype));
      expect(train(network.value, combo, way)).toBeAllclose(rows(reference.reference(`out/${combo}/ce_reg`)), values);
      const state = network.value.model.stateDict();
      for (const path of reference.names(`out64/${combo}/after/`)) {
        const name = path.slice(`out64/${combo}/after/`.length);
        expect(state.get(name) as Tensor, name).toHaveRelL2(reference.tensor(path), gradients);
      }
    });
  });

  /** The cross-entropy and the regulariser before each update. */
  function train(network: BatchCamCase, combo: string, way: Way): number[][] {
    const { model } = network;
    const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 1e-4 });
    return Array.from({ length: reference.params.steps }, (_, step) =>
      tidy(() => {
        const batch = {
          x: reference.tensor("input/x").select(0, step),
          y: reference.tensor("input/y").select(0, step),
        };
        const { norm, labels, ce } = network.forward(way, batch);
        const regulariser = network.regulariser(combo, norm, labels);
        model.zeroGrad();
        backward(ce.add(regulariser.mul(reference.params.lam)));
        optimizer.step();
        return [ce.item(), regulariser.item()];
      }),
    );
  }
});

function rows(matrix: Tensor): number[][] {
  const values = Array.from(matrix.data() as ArrayLike<number>);
  const width = matrix.shape[1] as number;
  return Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));
}
