import { describe, expect, it } from "vitest";
import { normalizeMaps } from "../src/cam/index.ts";
import { crossEntropy, ssimDistance } from "../src/losses/index.ts";
import {
  adaptiveAvgPool2d,
  batchNorm,
  conv2d,
  gelu,
  grad,
  interpolate,
  layerNorm,
  linear,
  maxPool2d,
  relu,
  type Tensor,
  tidy,
} from "../src/tensor/index.ts";
import { type Fixture, fixture, fixtureNames } from "./support/fixtures.ts";

type Inputs = Record<string, Tensor>;
type Operator = (inputs: Inputs, fixture: Fixture) => Tensor;

const conv: Operator = ({ x, w, b }, { params: { stride, padding, groups } }) =>
  conv2d(x as Tensor, w as Tensor, b, { stride, padding, groups });
const layerNormLast: Operator = ({ x, w, b }) => layerNorm(x as Tensor, [6], { weight: w, bias: b, eps: 1e-6 });
const channelsLast = (x: Tensor) => x.permute([0, 2, 3, 1]);
const channelsFirst = (x: Tensor) => x.permute([0, 3, 1, 2]);

/** y = x + γ·(x·R) + β, R = ‖X‖₂ over the pixels / its mean over the channels. */
function globalResponseNorm({ x, w, b }: Inputs): Tensor {
  const energy = (x as Tensor).norm([1, 2], { keepDims: true }); // (N, 1, 1, C)
  const response = energy.div(energy.mean(-1, { keepDims: true }).add(1e-6));
  return (x as Tensor).add(b as Tensor).add((x as Tensor).mul(response).mul(w as Tensor));
}

/** Batch norm in eval mode by its formula, which also has gradients with respect to the statistics. */
function affineNorm({ x, w, b, rm, rv }: Inputs): Tensor {
  const [mean, variance, weight, bias] = [rm, rv, w, b].map((t) => (t as Tensor).reshape([1, -1, 1, 1])) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  return (x as Tensor).sub(mean).mul(variance.add(1e-5).rsqrt()).mul(weight).add(bias);
}

const onChannelsLast =
  (operator: Operator): Operator =>
  (inputs, of) =>
    channelsFirst(operator({ ...inputs, x: channelsLast(inputs.x as Tensor) }, of));

/** The operator of each case, found by the start of the case's name. */
const OPERATORS: Readonly<Record<string, Operator>> = {
  op_relu: ({ x }) => relu(x as Tensor),
  op_gelu_exact: ({ x }) => gelu(x as Tensor),
  op_gelu_tanh: ({ x }) => gelu(x as Tensor, { approximate: "tanh" }),
  op_linear: ({ x, w, b }) => linear(x as Tensor, w as Tensor, b),
  op_conv: conv,
  op_batchnorm_train: ({ x, w, b }) => batchNorm(x as Tensor, { weight: w, bias: b, training: true }),
  op_batchnorm_eval: affineNorm,
  op_layernorm_last: layerNormLast,
  op_layernorm_channels_first: onChannelsLast(layerNormLast),
  op_grn_channels_last: globalResponseNorm,
  op_grn_channels_first: onChannelsLast(globalResponseNorm),
  op_maxpool3_s2_p1: ({ x }) => maxPool2d(x as Tensor, 3, { stride: 2, padding: 1 }),
  op_global_avg_pool: ({ x }) => adaptiveAvgPool2d(x as Tensor, 1).flatten(1),
  op_cross_entropy: ({ logits }, { params: { targets, label_smoothing: labelSmoothing } }) =>
    crossEntropy(logits as Tensor, targets, { labelSmoothing }).reshape([1]),
  op_drop_path_eval: ({ x }) => (x as Tensor).mul(1),
  op_bilinear: ({ x }, of) => interpolate(x as Tensor, { size: imageSize(of, "out/y") }),
  op_minmax_normalise: ({ x }) => normalizeMaps(x as Tensor),
  op_ssim_mean: ({ a, b }) =>
    ssimDistance(a as Tensor, b as Tensor)
      .mean()
      .reshape([1]),
};

function imageSize(of: Fixture, path: string): [number, number] {
  return of.tensor(path).shape.slice(-2) as [number, number];
}

function operatorOf(name: string): Operator {
  const key = Object.keys(OPERATORS).find((start) => name.startsWith(start));
  if (key === undefined) throw new Error(`no operator for ${name}`);
  return OPERATORS[key] as Operator;
}

type DType = "float32" | "float64";

/** The case's operator, its gradients, and the gradients of Σⱼ⟨gradⱼ, uⱼ⟩, with the fixture's keys. */
function evaluate(of: Fixture, dtype: DType): Map<string, Tensor> {
  const names = of
    .names("input/")
    .filter((path) => !path.startsWith("input/u/"))
    .map((path) => path.slice("input/".length));
  const inputs: Inputs = {};
  for (const name of names) inputs[name] = of.tensor(`input/${name}`).to(dtype).requiresGrad_();
  const { cotangent, ...operands } = inputs;
  const y = operatorOf(of.case.name)(operands, of);
  const results = new Map([["out/y", y]]);

  const twice = of.names("dbl/").length > 0;
  const differentiable = of.names("grad/").map((path) => path.slice("grad/".length));
  const gradients = grad(
    y.mul(cotangent as Tensor).sum(),
    differentiable.map((name) => operands[name] as Tensor),
    { createGraph: twice },
  );
  for (const [i, name] of differentiable.entries()) results.set(`grad/${name}`, gradients[i] as Tensor);
  if (!twice) return results;

  const s = differentiable
    .map((name, i) => (gradients[i] as Tensor).mul(of.tensor(`input/u/${name}`).to(dtype)).sum())
    .reduce((sum, term) => sum.add(term));
  const wanted = of.names("dbl/").map((path) => path.slice("dbl/".length));
  const second = grad(
    s,
    wanted.map((name) => inputs[name] as Tensor),
    { allowUnused: true },
  );
  for (const [i, name] of wanted.entries()) results.set(`dbl/${name}`, second[i] as Tensor);
  return results;
}

const cases = fixtureNames("op_").filter((name) => !name.startsWith("op_cv2"));

describe.each(cases)("%s", (name) => {
  const of = fixture(name);

  it("agrees with torch in float32, with its gradients and second gradients", () => {
    tidy(() => {
      for (const [path, value] of evaluate(of, "float32")) {
        if (path.startsWith("out/")) expect(value, path).toBeAllclose(of.reference(path), of.tolerance);
        else expect(value, path).toHaveRelL2(of.reference(path), of.tolerance);
      }
    });
  });

  it("agrees with torch in float64 to the last digits", () => {
    const rtol = 1e-9;
    tidy(() => {
      for (const [path, value] of evaluate(of, "float64")) {
        const expected = of.tensor(path.replace("/", "64/"));
        expect(value.dtype).toBe("float64");
        if (path.startsWith("out/")) expect(value, path).toBeAllclose(expected, { rtol, atol: 1e-12 });
        else expect(value, path).toHaveRelL2(expected, { relL2: rtol, absL2: 1e-12 });
      }
    });
  });
});

describe.each(fixtureNames("op_cv2"))("%s", (name) => {
  it("agrees with OpenCV and torch", () => {
    const of = fixture(name);
    tidy(() => {
      const resized = interpolate(of.tensor("input/x"), { size: imageSize(of, "out/torch") });
      expect(resized).toBeAllclose(of.tensor("out/cv2"), of.tolerance);
      expect(resized).toBeAllclose(of.tensor("out/torch"), of.tolerance);
    });
  });
});

it("gives batch norm in eval mode the values and gradients of its formula", () => {
  const of = fixture("op_batchnorm_eval");
  tidy(() => {
    const [x, w, b] = ["x", "w", "b"].map((name) => of.tensor(`input/${name}`).requiresGrad_()) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const y = batchNorm(x, {
      weight: w,
      bias: b,
      runningMean: of.tensor("input/rm"),
      runningVar: of.tensor("input/rv"),
    });
    expect(y).toBeAllclose(of.reference("out/y"), of.tolerance);
    const gradients = grad(y.mul(of.tensor("input/cotangent")).sum(), [x, w, b]);
    for (const [i, name] of ["x", "w", "b"].entries()) {
      expect(gradients[i]).toHaveRelL2(of.reference(`grad/${name}`), of.tolerance);
    }
  });
});

it("has cases to run", () => {
  expect(cases.length).toBeGreaterThan(20);
});
