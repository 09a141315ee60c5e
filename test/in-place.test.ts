import { describe, expect, it } from "vitest";
import { batchCam, type ExplainOptions, explain, METHODS } from "../src/cam/index.ts";
import { BatchCamError } from "../src/errors.ts";
import { deletionCurve, maxSensitivity } from "../src/metrics/index.ts";
import { Conv2d, interceptOutputs, Linear, Module, ReLU } from "../src/nn/index.ts";
import { cat, grad, manualSeed, randn, type Tensor, tidy } from "../src/tensor/index.ts";
import { runProgram } from "./support/program.ts";

type Step = (y: Tensor) => Tensor;

/**
 * A network of conv - steps - relu - steps - conv - linear. In one variant the steps work in place; the other variant computes the same
 * without in-place operations.
 */
class Network extends Module {
  readonly conv1 = new Conv2d(2, 4, 3, { padding: 1 });
  readonly relu = new ReLU();
  readonly conv2 = new Conv2d(4, 4, 3, { padding: 1 });
  readonly fc = new Linear(4, 3);
  readonly start: Step;
  readonly middle: Step;
  readonly end: Step;

  constructor({ start = same, middle = same, end = same }: { start?: Step; middle?: Step; end?: Step }) {
    super();
    Object.assign(this, { start, middle, end });
    this.start = start;
    this.middle = middle;
    this.end = end;
  }

  override forward(x: Tensor): Tensor {
    const y = this.relu.run(this.middle(this.conv1.run(this.start(x))));
    return this.fc.run(this.conv2.run(this.end(y)).mean([2, 3]));
  }
}

const same: Step = (y) => y;

function pairOf(inPlace: ConstructorParameters<typeof Network>[0], without: ConstructorParameters<typeof Network>[0]) {
  return [inPlace, without].map((steps) => {
    manualSeed(7);
    return new Network(steps).to("float64").eval();
  }) as [Network, Network];
}

const images = randn([2, 2, 5, 6], { dtype: "float64" });
const OPTIONS: ExplainOptions = { targets: [0, 2], normalize: false, samples: 2, steps: 3, noise: 0.1 };

const WAYS: [string, Step, Step][] = [
  ["mul_", (y) => y.mul_(-1.5), (y) => y.mul(-1.5)],
  ["add_ and clamp_", (y) => y.add_(0.2).clamp_(0, 1), (y) => y.add(0.2).clamp(0, 1)],
  ["copy_", (y) => y.copy_(y.tanh()), (y) => y.tanh()],
  [
    "writing to a view",
    (y) => {
      y.select(1, 0).mul_(3);
      return y;
    },
    (y) => y.mul(firstChannel(y).mul(2).add(1)),
  ],
];

/** A mask that is 1 in the first channel and 0 in the others. */
function firstChannel(y: Tensor): Tensor {
  const ones = y.detach().mul(0);
  ones.select(1, 0).fill_(1);
  return ones;
}

describe.each(WAYS)("a network with %s", (_, inPlace, without) => {
  it.each(["start", "middle", "end"] as const)(
    "has the same maps as the network without in-place operations, by every method (%s)",
    (place) =>
      tidy(() => {
        const [written, plain] = pairOf({ [place]: inPlace }, { [place]: without });
        const before = images.clone();
        const options = { ...OPTIONS, method: METHODS, layer: place === "end" ? "relu" : "conv1" };
        const [found, expected] = [explain(written, images, options).maps, explain(plain, images, options).maps];
        for (const method of METHODS) expect(found[method]).toBeAllclose(expected[method], { rtol: 1e-9, atol: 1e-12 });
        expect(images.equal(before)).toBe(true);
      }),
  );

  it("has the same maps by batchCam through forwardWith, and the same gradients", () =>
    tidy(() => {
      for (const place of ["start", "middle"] as const) {
        const networks = pairOf({ [place]: inPlace }, { [place]: without });
        for (const order of ["first", "second"] as const) {
          const found = networks.map((network) => {
            const { logits, taps } = network.forwardWith(images, { taps: ["conv1"] });
            const maps = batchCam(logits, taps.conv1, [0, 2], { order, relu: false });
            const gradients = grad(maps.square().sum(), network.parameters(), { allowUnused: true });
            return [maps, ...gradients];
          }) as [Tensor[], Tensor[]];
          for (const [i, ours] of found[0].entries()) {
            expect(ours).toBeAllclose(found[1][i] as Tensor, { rtol: 1e-9, atol: 1e-12 });
          }
        }
      }
    }));
});

describe("a training pass whose values were overwritten", () => {
  it("is refused by batchCam with the layer and advice, and explained by `explain`", () =>
    tidy(() => {
      const network = new Network({ end: (y) => y.mul_(2) }).eval();
      const x = randn([2, 2, 6, 6]);
      const { logits, taps } = network.forwardWith(x, { taps: ["conv1"] });
      const refused = () => batchCam(logits, taps.conv1, [0, 2]);
      expect(refused).toThrow(BatchCamError);
      expect(refused).toThrow(/batchCam: .*Relu.*overwrote in place after layer conv1: .*mul in place of mul_/);
      expect(explain(network, x, { layer: "conv1", createGraph: true }).maps.requiresGrad).toBe(true);
    }));

  it("names the module if autograd does not allow overwriting", () =>
    tidy(() => {
      const network = new Network({
        end: (y) => {
          for (const half of y.split(2, 1)) half.mul_(2);
          return y;
        },
      });
      expect(() => explain(network, images.to("float32"), { layer: "conv1" })).toThrow(
        /explain: the model, a Network, writes in place .* clone\(\)/,
      );
    }));
});

describe("a view that was made before the explained layer ran", () => {
  it("may be written to after it", () =>
    tidy(() => {
      const networkOf = (inPlace: boolean) => {
        manualSeed(5);
        return new (class extends Module {
          readonly conv1 = new Conv2d(2, 4, 3);
          readonly conv2 = new Conv2d(4, 2, 1);
          readonly fc = new Linear(4, 3);
          override forward(x: Tensor): Tensor {
            const y = this.conv1.run(x);
            const [low, high] = [y.narrow(1, 0, 2), y.narrow(1, 2, 2)];
            const z = this.conv2.run(y);
            if (inPlace) low.add_(z);
            return this.fc.run((inPlace ? y : cat([low.add(z), high], 1)).mean([2, 3]));
          }
        })();
      };
      const maps = [true, false].map((inPlace) =>
        explain(networkOf(inPlace), images.to("float32"), { layer: "conv2" }),
      );
      expect(maps[0]?.maps).toBeAllclose(maps[1]?.maps as Tensor);
    }));
});

describe("functions of the user may write to their arguments", () => {
  const [network] = pairOf({}, {});

  it.each(["GradCAM", "AblationCAM", "ScoreCAM", "Saliency"] as const)("targets of %s", (method) =>
    tidy(() => {
      const options = { ...OPTIONS, method, layer: "relu" };
      const found = explain(network, images, { ...options, targets: (s) => s.mul_(2).relu().add_(1).select(1, 0) });
      const expected = explain(network, images, { ...options, targets: (s) => s.mul(2).relu().add(1).select(1, 0) });
      expect(found.maps).toBeAllclose(expected.maps, { rtol: 1e-12 });
      expect(found.logits.equal(expected.logits)).toBe(true);
    }),
  );

  it("reshapeTransform", () =>
    tidy(() => {
      const maps = (reshapeTransform: Step) =>
        explain(network, images, { ...OPTIONS, method: "HiResCAM", layer: "relu", reshapeTransform }).maps;
      expect(maps((y) => y.mul_(2)).equal(maps((y) => y.mul(2)))).toBe(true);
    }));

  it("tensors that interceptors keep and return do not change", () =>
    tidy(() => {
      const [written] = pairOf({ middle: (y) => y.mul_(2), end: (y) => y.add_(1) }, {});
      const replacement = randn([2, 4, 5, 6], { dtype: "float64" });
      const kept: Tensor[] = [];
      const values = replacement.clone();
      const run = () =>
        interceptOutputs(
          new Map<object, (output: Tensor) => Tensor>([
            [
              written.conv1,
              (output) => {
                kept.push(output);
                return output;
              },
            ],
            [written.relu, () => replacement],
          ]),
          () => written.forward(images),
        );
      expect(run().equal(run())).toBe(true);
      expect(replacement.equal(values)).toBe(true);
      expect(kept[0]?.equal(written.conv1.forward(images))).toBe(true);
    }));

  it("the functions of metrics", () =>
    tidy(() => {
      const x = images.clone();
      const maps = images.abs().sum([1]);
      const predict = (rows: Tensor) => network.forward(rows);
      const spoiling = (rows: Tensor) => network.forward(rows.mul_(1));
      const curves = [
        deletionCurve(spoiling, x, maps, [0, 1], { steps: 3, baseline: (given) => given.mul_(0.5) }),
        deletionCurve(predict, x, maps, [0, 1], { steps: 3, baseline: (given) => given.mul(0.5) }),
      ] as const;
      expect(curves[0].auc.equal(curves[1].auc)).toBe(true);
      const sensitivities = [true, false].map((spoils) =>
        maxSensitivity(
          (rows, positions) => {
            const sums = rows.sum([1]);
            if (spoils) [rows, positions].map((given) => given.mul_(0));
            return sums;
          },
          x,
          { samples: 2, batchSize: 2 },
        ),
      ) as [Tensor, Tensor];
      expect(sensitivities[0].equal(sensitivities[1])).toBe(true);
      expect(x.equal(images)).toBe(true);
    }));
});

describe("random networks that work in place, share modules and have several outputs", () => {
  it("have the same maps as networks without in-place operations, by every method", async () => {
    const { code, stderr, result } = await runProgram("in-place.mjs", ["--runs", "12"]);
    expect(code, stderr).toBe(0);
    expect(result.differences).toEqual([]);
    expect(result.comparisons).toBeGreaterThan(500);
  });
});
