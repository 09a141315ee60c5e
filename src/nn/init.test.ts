import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { capabilities, empty, manualSeed, type Tensor, tidy, zeros } from "../tensor/index.ts";
import { Conv2d, kaimingNormal_, kaimingUniform_, Linear, parameter, truncatedNormal_ } from "./index.ts";

const values = (t: Tensor) => Array.from(t.data() as Float32Array);

// torch draws x in [0, 1) and returns x·(high − low) + low. Where the processor has AVX2, libtorch's kernels multiply and add with one
// rounding; without it, they round twice, and a few values differ in their last digits. Both lists are from torch 2.11.0:
// torch.manual_seed(1234); nn.Conv2d(3, 4, (3, 2)); nn.Linear(5, 3)    with ATEN_CPU_CAPABILITY=avx2, and with =default
const ONE_ROUNDING = {
  conv: [-0.2220413088798523, -0.04624545946717262, -0.1132105365395546, -0.06286587566137314],
  last: -0.05803370848298073,
  weight: [
    -0.2790311872959137, 0.015558364801108837, 0.2548105716705322, -0.32093897461891174, -0.16890370845794678,
    0.18705864250659943, -0.28845930099487305, -0.04979725927114487, -0.33724284172058105, 0.4147988259792328,
    0.24106615781784058, -0.41337069869041443, -0.24691277742385864, 0.15852925181388855, 0.024509558454155922,
  ],
  bias: [0.1185157522559166, -0.3658561110496521, -0.2394561916589737],
};
const TWO_ROUNDINGS = {
  conv: [-0.2220413088798523, -0.046245455741882324, -0.1132105365395546, -0.06286586821079254],
  last: -0.05803370475769043,
  weight: [
    -0.2790311872959137, 0.015558362007141113, 0.2548105716705322, -0.32093894481658936, -0.16890370845794678,
    0.18705862760543823, -0.28845930099487305, -0.049797266721725464, -0.33724284172058105, 0.4147987961769104,
    0.24106615781784058, -0.41337069869041443, -0.24691277742385864, 0.15852922201156616, 0.024509549140930176,
  ],
  bias: [0.1185157299041748, -0.3658561110496521, -0.2394561916589737],
};
const TORCH = capabilities().cpuCapability === "DEFAULT" ? TWO_ROUNDINGS : ONE_ROUNDING;

describe("initial weights", () => {
  it("are torch's, bit for bit, for a seed", () => {
    manualSeed(1234);
    using conv = new Conv2d(3, 4, [3, 2]);
    using linear = new Linear(5, 3);
    expect(values(conv.weight).slice(0, 4)).toEqual(TORCH.conv);
    expect(values(conv.weight).at(-1)).toBe(TORCH.last);
    expect(values(conv.bias as Tensor)).toEqual([
      -0.23062078654766083, 0.2100077122449875, 0.12544624507427216, -0.11153115332126617,
    ]);
    expect(values(linear.weight)).toEqual(TORCH.weight);
    expect(values(linear.bias as Tensor)).toEqual(TORCH.bias);
  });

  it("count the inputs of one group, and draw nothing for an absent bias", () => {
    manualSeed(1234);
    using grouped = new Conv2d(4, 8, 3, { groups: 2, bias: false });
    using next = new Linear(18, 1, { bias: false });
    expect(grouped.bias).toBeNull();
    // torch.manual_seed(1234); nn.Conv2d(4, 8, 3, groups=2, bias=False) has the bound of nn.Conv2d(3, 4, (3, 2)).
    expect(values(grouped.weight).slice(0, 3)).toEqual(TORCH.conv.slice(0, 3));
    manualSeed(1234);
    empty([8, 2, 3, 3]).uniform_();
    using same = new Linear(18, 1, { bias: false });
    expect(values(next.weight)).toEqual(values(same.weight));
  });

  it("are within ±√3·gain/√fan for every shape", () => {
    const size = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(size, size, size, (outputs, inputs, kernel) => {
        tidy(() => {
          const weight = kaimingUniform_(empty([outputs, inputs, kernel, kernel]));
          const bound = 1 / Math.sqrt(inputs * kernel * kernel);
          expect(weight.abs().max().item()).toBeLessThanOrEqual(Math.fround(bound));
        });
      }),
      { numRuns: 30 },
    );
  });
});

describe("kaimingNormal_", () => {
  it("is torch's for a seed, by fan-out", () => {
    const weight = empty([6, 2, 3, 3]);
    manualSeed(7);
    // torch.manual_seed(7); nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
    expect(values(kaimingNormal_(weight)).slice(0, 4)).toBeAllclose(
      [-0.1578349620103836, 0.07613925635814667, 0.17299501597881317, -0.26719844341278076],
      { rtol: 1e-6 },
    );
  });
});

describe("truncatedNormal_", () => {
  it("is torch's for a seed", () => {
    const weight = empty([4, 5]);
    manualSeed(7);
    // torch.manual_seed(7); nn.init.trunc_normal_(t, std=.02)
    const narrow = [
      0.0017529984470456839, -0.01691807620227337, 0.008206252008676529, 0.008079816587269306, -0.014595650136470795,
      -0.003779234364628792,
    ];
    expect(values(truncatedNormal_(weight, { std: 0.02 })).slice(0, 6)).toBeAllclose(narrow, {
      rtol: 2e-6,
      atol: 1e-8,
    });
    manualSeed(7);
    // torch.manual_seed(7); nn.init.trunc_normal_(t, mean=.5, std=1., a=0., b=1.)
    const cut = [0.5335267186164856, 0.20674660801887512, 0.6534191370010376, 0.6511649489402771, 0.2406114935874939];
    expect(values(truncatedNormal_(weight, { mean: 0.5, std: 1, min: 0, max: 1 })).slice(0, 5)).toBeAllclose(cut, {
      rtol: 2e-6,
    });
  });

  it("has the moments of the cut distribution and keeps to its bounds", () =>
    tidy(() => {
      manualSeed(3);
      const sample = truncatedNormal_(empty([200, 500]));
      expect(sample.abs().max().item()).toBeLessThanOrEqual(2);
      expect(Math.abs(sample.mean().item())).toBeLessThan(0.01);
      // The variance of the truncated distribution, the variance of the truncated distribution, 1 − 4·φ(2)/(2·Φ(2) − 1)
      expect(sample.var().item()).toBeCloseTo(0.774, 2);
    }));

  it("writes to a parameter in place without recording it", () => {
    const weight = parameter(zeros([3, 3]));
    expect(truncatedNormal_(weight)).toBe(weight);
    expect([weight.requiresGrad, weight.isLeaf]).toEqual([true, true]);
    weight.dispose();
  });
});

describe("bad input", () => {
  it.each([{ std: 0 }, { min: 1, max: 1 }, { std: Number.NaN }])("is refused by truncatedNormal_: %j", (options) => {
    expect(() => truncatedNormal_(empty([2, 2]), options)).toThrow(/truncatedNormal_: needs std > 0 and min < max/);
  });

  it("is refused where a fan cannot be counted", () => {
    expect(() => kaimingUniform_(empty([3]))).toThrow(/a fan needs a weight of two dimensions or more, got \[3\]/);
  });
});
