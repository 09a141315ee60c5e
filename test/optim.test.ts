import { afterEach, describe, expect, it } from "vitest";
import { Linear, Sequential } from "../src/nn/index.ts";
import {
  Adam,
  AdamW,
  clipGradNorm,
  constant,
  cosine,
  gradNorm,
  linearWarmup,
  type Optimizer,
  oneCycle,
  type Parameters,
  type Schedule,
  SGD,
  sequential,
  timmCosine,
} from "../src/optim/index.ts";
import {
  backward,
  type DType,
  keep,
  memory,
  noGrad,
  ones,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../src/tensor/index.ts";
import { crossEntropyLoss } from "../src/tensor/layers.ts";
import { fixture } from "./support/fixtures.ts";

const owned: { dispose(): void }[] = [];
const own = <T extends { dispose(): void }>(value: T): T => {
  owned.push(value);
  return value;
};
afterEach(() => {
  for (const value of owned.splice(0)) value.dispose();
});
const leaf = (values: number[], dtype: DType = "float64"): Tensor =>
  own(keep(tensor(values, { dtype, requiresGrad: true })));
const valuesOf = (t: Tensor): number[] => Array.from(t.data() as Float64Array);

/** The weight decays are those of the programs that made the fixtures. */
const CASES: Record<string, { make: (params: Parameters) => Optimizer; rate: Schedule }> = {
  optim_sgd_momentum: {
    make: (params) => new SGD(params, { lr: 0.1, momentum: 0.9, weightDecay: 5e-4 }),
    rate: constant(0.1),
  },
  optim_sgd_nesterov: { make: nesterov, rate: constant(0.1) },
  optim_sgd_nesterov_timm_cosine: {
    make: nesterov,
    rate: timmCosine({ lr: 0.1, steps: 10, minLr: 1e-4, warmupSteps: 3, warmupLr: 1e-3 }),
  },
  optim_sgd_nesterov_timm_cosine_prefix: {
    make: nesterov,
    rate: timmCosine({ lr: 0.1, steps: 10, minLr: 1e-4, warmupSteps: 3, warmupLr: 1e-3, warmupPrefix: true }),
  },
  optim_sgd_warmup_cosine_torch: {
    make: nesterov,
    rate: sequential(
      linearWarmup({ lr: 0.1, steps: 3, startFactor: 0.1 }),
      3,
      cosine({ lr: 0.1, steps: 7, minLr: 1e-4 }),
    ),
  },
  optim_adamw: { make: adamW, rate: constant(0.01) },
  optim_adamw_timm_cosine: {
    make: adamW,
    rate: timmCosine({ lr: 0.01, steps: 10, minLr: 1e-4, warmupSteps: 3, warmupLr: 1e-3 }),
  },
  optim_adamw_onecycle: { make: adamW, rate: oneCycle({ maxLr: 0.1, steps: 10 }) },
  optim_adam_coupled_l2: { make: (params) => new Adam(params, { weightDecay: 0.05 }), rate: constant(0.01) },
};

function nesterov(params: Parameters): Optimizer {
  return new SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 5e-4 });
}

function adamW(params: Parameters): Optimizer {
  return new AdamW(params, { weightDecay: 0.05 });
}

describe.each(Object.entries(CASES))("%s", (name, { make, rate }) => {
  const reference = fixture(name);

  it.each(["float32", "float64"] as const)("agrees with torch for ten steps in %s", (dtype) => {
    const tolerance = dtype === "float64" ? { rtol: 1e-9, atol: 1e-11 } : reference.tolerance;
    const model = own(new Sequential(new Linear(6, 8), new Linear(8, 4))).to(dtype);
    const [first, second] = [model.at(0) as Linear, model.at(1) as Linear];
    const parameters = new Map([
      ["0.weight", first.weight],
      ["0.bias", first.bias as Tensor],
      ["2.weight", second.weight],
      ["2.bias", second.bias as Tensor],
    ]);
    noGrad(() =>
      tidy(() => {
        for (const [key, value] of parameters) value.copy_(reference.tensor(`param/${key}`));
      }),
    );
    const optimizer = own(make(model.namedParameters()));
    for (let step = 0; step < 10; step++) {
      tidy(() => {
        const x = reference.tensor("input/x").select(0, step).to(dtype);
        const y = reference.tensor("input/y").select(0, step).to("int64");
        const loss = crossEntropyLoss(second.run(first.run(x).tanh()), y);
        expect(loss).toBeAllclose(reference.reference("out/loss").select(0, step), tolerance);
        optimizer.zeroGrad();
        backward(loss);
        optimizer.lr = rate(step);
        optimizer.step();
        for (const [key, value] of parameters) {
          expect(value).toBeAllclose(reference.reference(`out/step/${key}`).select(0, step), tolerance);
        }
      });
    }
    expect(Array.from({ length: 10 }, (_, step) => rate(step))).toBeAllclose(reference.tensor("out64/lr"), {
      rtol: 1e-12,
      atol: 1e-15,
    });
  });
});

/** Four steps on ‖a‖²/2, with ‖b‖³/3 added from the third step on; references from torch.float64 with a = [1, -2, 3], b = [0.5, 4]. */
function fourSteps(make: (a: Tensor, b: Tensor) => Optimizer): number[] {
  const [a, b] = [leaf([1, -2, 3]), leaf([0.5, 4])];
  const optimizer = own(make(a, b));
  for (let step = 0; step < 4; step++) {
    tidy(() => {
      optimizer.zeroGrad();
      const early = a.square().sum().mul(0.5);
      backward(step < 2 ? early : early.add(b.pow(3).sum().div(3)));
      optimizer.step();
    });
  }
  return [...valuesOf(a), ...valuesOf(b)];
}

describe("settings and groups, against torch", () => {
  it.each<[string, (a: Tensor, b: Tensor) => Optimizer, number[]]>([
    ["SGD without momentum", (a, b) => new SGD([a, b], { lr: 0.1 }), [0.6561, -1.3122, 1.9683, 0.4524375, 1.824]],
    [
      "SGD with dampening, and a parameter without a gradient in the first steps",
      (a, b) => new SGD([a, b], { lr: 0.1, momentum: 0.9, dampening: 0.5, weightDecay: 0.01 }),
      [0.426070756000125, -0.85214151200025, 1.2782122680003751, 0.4400552375, 0.6641611999999999],
    ],
    [
      "SGD with groups",
      (a, b) =>
        new SGD([{ params: [a] }, { params: [b], lr: 0.05, weightDecay: 0 }], {
          lr: 0.1,
          momentum: 0.9,
          nesterov: true,
          weightDecay: 0.01,
        }),
      [0.08759795815357203, -0.17519591630714407, 0.26279387446071634, 0.4445776640625, 1.247712],
    ],
    [
      "AdamW with groups, betas and eps",
      (a, b) =>
        new AdamW([{ params: [a] }, { params: [b], lr: 0.05, weightDecay: 0 }], {
          lr: 0.1,
          betas: [0.8, 0.95],
          eps: 1e-6,
          weightDecay: 0.1,
        }),
      [0.572834545415269, -1.5299405826572163, 2.4896280648556433, 0.40072226364690366, 3.9000577267238308],
    ],
    [
      "Adam with an L2 term",
      (a, b) => new Adam([a, b], { lr: 0.1, weightDecay: 0.1 }),
      [0.6039390622987694, -1.60150489613224, 2.600913531612449, 0.30296479415889443, 3.8001615254974945],
    ],
  ])("%s", (_, make, expected) => {
    expect(fourSteps(make)).toBeAllclose(expected, { rtol: 1e-12 });
  });

  it("has torch's defaults", () => {
    const params = [leaf([1])];
    expect(own(new Adam(params))).toMatchObject({ lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8 });
    const [plain, decayed] = [
      fourSteps((a, b) => new AdamW([a, b], { lr: 0.1 })),
      fourSteps((a, b) => new AdamW([a, b], { lr: 0.1, weightDecay: 0.01 })),
    ];
    expect(plain).toEqual(decayed);
  });

  it("keeps the ratio of a group's rate when the rate is set", () => {
    const optimizer = own(new SGD([{ params: [leaf([1])] }, { params: [leaf([1])], lr: 0.01 }], { lr: 0.1 }));
    optimizer.lr = 0.5;
    expect(optimizer.groupLearningRates).toBeAllclose([0.5, 0.05], { rtol: 1e-12 });
    expect(optimizer.lr).toBe(0.5);
  });

  it("lets schedules cycle momentum and betas", () => {
    const params = [leaf([1])];
    const [sgd, adam] = [own(new SGD(params, { lr: 0.1, momentum: 0.9 })), own(new Adam(params))];
    sgd.momentum = 0.85;
    adam.betas = [0.85, 0.99];
    expect([sgd.momentum, adam.betas]).toEqual([0.85, [0.85, 0.99]]);
    expect(() => Object.assign(sgd, { momentum: 0 })).toThrow(/momentum cannot change from 0.85 to 0/);
    expect(() => Object.assign(adam, { betas: [1, 0.9] })).toThrow(/Adam: betas\[0\] must be in \[0, 1\), got 1/);
  });
});

describe("a step", () => {
  it("does not change parameters without a gradient", () => {
    const [used, unused] = [leaf([1]), leaf([1])];
    const optimizer = own(new AdamW([used, unused], { lr: 0.1, weightDecay: 0.5 }));
    tidy(() => backward(used.square().sum()));
    optimizer.step();
    expect([used.item() === 1, unused.item()]).toEqual([false, 1]);
    expect([...optimizer.stateTensors().keys()]).toEqual(["0.step", "0.exp_avg", "0.exp_avg_sq"]);
  });

  it("records nothing and leaves the parameter a leaf", () => {
    const weight = leaf([1, 2]);
    tidy(() => backward(weight.square().sum()));
    own(new SGD([weight], { lr: 0.1 })).step();
    expect([weight.isLeaf, weight.requiresGrad, valuesOf(weight)]).toEqual([true, true, [0.8, 1.6]]);
  });

  it("makes gradients null when they are zeroed", () => {
    const weight = leaf([1]);
    tidy(() => backward(weight.square().sum()));
    own(new SGD([weight], { lr: 0.1 })).zeroGrad();
    expect(weight.grad).toBeNull();
  });

  it.each(["sgd", "adam"])("assigns values correctly if memory formats differ (%s)", (kind) =>
    tidy(() => {
      const make = (weight: Tensor) =>
        own(kind === "sgd" ? new SGD([weight], { lr: 0.1, momentum: 0.9 }) : new Adam([weight], { lr: 0.1 }));
      const start = randn([4, 3, 3, 3]);
      const gradient = randn([4, 3, 3, 3]);
      const plain = start.clone().requiresGrad_();
      plain.grad = gradient.clone();
      make(plain).step();
      const layouts = [
        ["contiguous", "channelsLast"],
        ["channelsLast", "contiguous"],
        ["channelsLast", "channelsLast"],
      ] as const;
      for (const [ofWeight, ofGradient] of layouts) {
        const weight = start.contiguous(ofWeight).clone().requiresGrad_();
        weight.grad = gradient.contiguous(ofGradient);
        make(weight).step();
        expect(weight).toBeAllclose(plain, { rtol: 0, atol: 0 });
      }
    }),
  );

  it("keeps no tensor except its state, for any number of steps", () => {
    const model = own(new Sequential(new Linear(3, 3), new Linear(3, 1)));
    const optimizer = own(new AdamW(model.namedParameters()));
    const step = () =>
      tidy(() => {
        optimizer.zeroGrad();
        backward(model.run(ones([2, 3])).sum());
        clipGradNorm(model.parameters(), 1);
        optimizer.step();
        optimizer.stateTensors();
      });
    step();
    const before = memory().liveTensors;
    for (let i = 0; i < 20; i++) step();
    expect(memory().liveTensors).toBe(before);
    optimizer.dispose();
    expect(memory().liveTensors).toBe(before - 12);
  });
});

describe("gradient norms", () => {
  const withGradients = (): Tensor[] => {
    const params = [
      own(keep(zeros([2, 2], { requiresGrad: true }))),
      own(keep(zeros([3], { requiresGrad: true }))),
      leaf([1]),
    ];
    for (const [index, values] of [
      [3, 0, 0, 4],
      [12, 0, 0],
    ].entries()) {
      (params[index] as Tensor).grad = tensor(values).reshape(params[index]?.shape ?? []);
    }
    return params;
  };

  it("is computed over all gradients, and clips like torch's clip_grad_norm_", () => {
    const params = withGradients();
    expect(gradNorm(params)).toBe(13);
    expect(clipGradNorm(params, 6.5)).toBe(13);
    expect(params[0]?.grad).toBeAllclose(
      [
        [1.4999998807907104, 0],
        [0, 1.9999998807907104],
      ],
      { rtol: 1e-7 },
    );
    expect(params[1]?.grad).toBeAllclose([5.999999523162842, 0, 0], { rtol: 1e-7 });
    expect(gradNorm(params)).toBeCloseTo(6.5, 5);
  });

  it.each([13.1, Number.POSITIVE_INFINITY])("does not change gradients under a limit of %d", (limit) => {
    const params = withGradients();
    expect(clipGradNorm(params, limit)).toBe(13);
    expect(params[1]?.grad).toBeAllclose([12, 0, 0], { rtol: 0, atol: 0 });
  });

  it("is 0 without gradients, is reported if it is not finite, and accepts named parameters", () => {
    expect(gradNorm([leaf([1])])).toBe(0);
    const bad = leaf([1]);
    bad.grad = tensor([Number.NaN], { dtype: "float64" });
    expect(clipGradNorm(new Map([["bad", bad]]), 1)).toBeNaN();
    expect(() => clipGradNorm([bad], 0)).toThrow(/maxNorm must be > 0, got 0/);
  });
});

describe("bad input", () => {
  const weight = () => leaf([1]);
  it.each<[string, () => unknown, RegExp]>([
    ["no parameters", () => new SGD([], { lr: 0.1 }), /SGD: params is empty; pass model.namedParameters\(\)/],
    ["empty groups", () => new SGD([{ params: [] }], { lr: 0.1 }), /params is empty/],
    ["a negative rate", () => new SGD([weight()], { lr: -1 }), /SGD: lr must be a number >= 0, got -1/],
    [
      "a rate that is not a number",
      () => new AdamW([weight()], { lr: Number.NaN }),
      /AdamW: lr must be a number >= 0, got NaN/,
    ],
    ["a negative decay", () => new Adam([weight()], { weightDecay: -1 }), /Adam: weightDecay/],
    ["a beta of one", () => new AdamW([weight()], { betas: [0.9, 1] }), /AdamW: betas\[1\] must be in \[0, 1\), got 1/],
    ["a negative eps", () => new AdamW([weight()], { eps: -1 }), /AdamW: eps/],
    [
      "nesterov without momentum",
      () => new SGD([weight()], { lr: 0.1, nesterov: true }),
      /nesterov needs momentum > 0 and dampening 0, got 0 and 0/,
    ],
    ["a parameter twice", () => twice(weight()), /parameter "1" is the same tensor as "0"/],
    [
      "two parameters of one name",
      () =>
        new SGD(
          [
            ["w", weight()],
            ["w", weight()],
          ],
          { lr: 0.1 },
        ),
      /parameter "w" shares its name with another/,
    ],
    ["a result", () => new SGD([weight().mul(2)], { lr: 0.1 }), /result of recorded operations/],
    ["whole numbers", () => new SGD([own(tensor([1n]))], { lr: 0.1 }), /must have a floating-point dtype, got int64/],
    ["no tensors", () => new SGD([1 as unknown as Tensor], { lr: 0.1 }), /params must hold tensors/],
    [
      "groups and tensors",
      () => new SGD([{ params: [weight()] }, weight()] as never, { lr: 0.1 }),
      /mixes parameter groups and tensors/,
    ],
    [
      "a group's rate of a zero one",
      () => new SGD([{ params: [weight()], lr: 0.1 }], { lr: 0 }),
      /a group with its own lr needs an optimizer lr > 0/,
    ],
  ])("is refused: %s", (_, build, message) => {
    expect(build).toThrow(expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) }));
  });
  const twice = (param: Tensor) => new SGD([param, param], { lr: 0.1 });

  it("is refused when the rate is set", () => {
    const optimizer = own(new SGD([weight()], { lr: 0.1 }));
    expect(() => Object.assign(optimizer, { lr: Number.NaN })).toThrow(/SGD: lr must be a number >= 0, got NaN/);
    expect(optimizer.lr).toBe(0.1);
  });

  it("reports a parameter that was disposed, as Module.to does", () => {
    const model = own(new Linear(2, 2));
    const optimizer = own(new SGD(model.parameters(), { lr: 0.1 }));
    model.to("float64");
    expect(() => optimizer.step()).toThrow(expect.objectContaining({ code: "E_DISPOSED" }));
  });
});
