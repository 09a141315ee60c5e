import { describe, expect, it } from "vitest";
import { parseTrainConfig, type TrainConfigInput } from "../../config/index.ts";
import { createModel, type Model } from "../../models/index.ts";
import { backward, manualSeed, rand, randn, type Tensor, tensor, tidy } from "../../tensor/index.ts";
import { objective } from "./objective.ts";

const BATCH = 12;

/** A network without batch norm, so that no image changes the output of another, and a batch of three classes. */
function subject(name: "simple-cnn" | "convnextv2_atto" = "convnextv2_atto") {
  manualSeed(3);
  const small = { dims: [16, 16, 16, 32], depths: [1, 1, 1, 1], patchSize: 1 } as const;
  const model = createModel(name, { numClasses: 3, inChannels: 1, ...(name === "simple-cnn" ? {} : small) });
  const labels = tensor(
    Array.from({ length: BATCH }, (_, i) => i % 3),
    { dtype: "int64" },
  );
  return { model, images: randn([BATCH, 1, 28, 28]), labels, prototypes: rand([3, 28, 28]) };
}

type Subject = ReturnType<typeof subject>;

function termsOf({ model, images, labels, prototypes }: Subject, options: TrainConfigInput, step = 0) {
  const config = parseTrainConfig({ lambdaWarmup: 0, ...options });
  const camLayer = model.camLayer === "pool2" ? "pool2" : "stages.2";
  return objective(model, images, labels, {
    step,
    guidance: { config, camLayer, prototypes, camEma: null },
    amp: false,
  });
}

/** The first images of a subject. */
const first = ({ images, labels, ...rest }: Subject, count: number): Subject => ({
  ...rest,
  images: images.narrow(0, 0, count),
  labels: labels.narrow(0, 0, count),
});

function gradientsOf(model: Model, loss: Tensor): Float64Array[] {
  for (const parameter of model.parameters()) parameter.grad = null;
  backward(loss);
  return model
    .parameters()
    .map(({ grad }) => Float64Array.from((grad as Tensor).to("float64").flatten().data() as Float64Array));
}

/** The largest difference of two lists of gradients, each relative to the largest value of its tensor. */
function differenceOf(actual: readonly Float64Array[], expected: readonly Float64Array[]): number {
  const differences = actual.map((values, i) => {
    const wanted = expected[i] as Float64Array;
    const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    return values.reduce((most, value, j) => Math.max(most, Math.abs(value - (wanted[j] as number)) / scale), 0);
  });
  return Math.max(...differences);
}

const BOTH = { lambdaPrototype: 0.5, lambdaBatch: 0.25 } as const;

describe("guidance at one step in N", () => {
  it("has the same mean loss over N steps as guidance at every step", () => {
    tidy(() => {
      const given = subject();
      const every = termsOf(given, { ...BOTH, guideEvery: 1 }, 0).loss.item();
      const some = [0, 1, 2, 3].map((step) => termsOf(given, { ...BOTH, guideEvery: 4 }, step).loss.item());
      expect(some.reduce((sum, loss) => sum + loss) / 4).toBeCloseTo(every, 5);
      given.model.dispose();
    });
  });

  it("is a plain step otherwise: the cross-entropy alone, without maps", () => {
    tidy(() => {
      const given = subject();
      const { loss, crossEntropy, ...rest } = termsOf(given, { ...BOTH, guideEvery: 4 }, 2);
      expect(rest).toMatchObject({ prototypeLoss: null, batchCamLoss: null, dead: null, rawMaps: null });
      expect(loss.item()).toBe(crossEntropy.item());
      expect(loss.item()).toBe(termsOf(given, { plain: true }, 2).loss.item());
      given.model.dispose();
    });
  });

  it("warms its weights up by the number of the step, not by that of the guided ones", () => {
    tidy(() => {
      const given = subject("simple-cnn");
      const at = (step: number) => {
        const { loss, crossEntropy, prototypeLoss } = termsOf(given, { guideEvery: 2, lambdaWarmup: 8 }, step);
        return loss.sub(crossEntropy).item() / (prototypeLoss as Tensor).item();
      };
      expect([at(1), at(3), at(7), at(9)]).toEqual([0.25, 0.5, 1, 1].map((weight) => expect.closeTo(weight, 5)));
      given.model.dispose();
    });
  });

  it("also leaves out the term of a baseline, and its input gradient", () => {
    tidy(() => {
      const given = subject("simple-cnn");
      const config = { baseline: "saliency-guided", guideEvery: 2 } as const;
      expect(termsOf(given, config, 0).baselineLoss).toBeNull();
      expect(termsOf(given, config, 1).baselineLoss?.item()).toSatisfy(Number.isFinite);
      given.model.dispose();
    });
  });

  it("guides every step while no run has decided the number", () => {
    tidy(() => {
      const given = subject("simple-cnn");
      expect(termsOf(given, {}, 0).prototypeLoss).not.toBeNull();
      given.model.dispose();
    });
  });
});

describe("guidance of a part of the batch", () => {
  it.each(["simple-cnn", "convnextv2_atto"] as const)(
    "is that of its first images, and the cross-entropy is that of all images, with %s",
    (name) => {
      tidy(() => {
        const given = subject(name);
        const part = termsOf(given, { ...BOTH, guideShare: 0.5 });
        const own = termsOf(first(given, BATCH / 2), BOTH);
        for (const term of ["prototypeLoss", "batchCamLoss"] as const)
          expect(part[term]?.item()).toBeCloseTo((own[term] as Tensor).item(), 5);
        expect([part.dead?.shape, part.rawMaps?.shape[0], part.logits.shape]).toEqual([[6], 6, [BATCH, 3]]);
        const plain = termsOf(given, { plain: true });
        expect(part.crossEntropy.item()).toBeCloseTo(plain.crossEntropy.item(), 5);
        given.model.dispose();
      });
    },
  );

  it("has the gradient of the mean loss of its parts", () => {
    tidy(() => {
      const given = subject();
      const part = gradientsOf(given.model, termsOf(given, { ...BOTH, guideShare: 0.5 }).loss);
      const own = termsOf(first(given, BATCH / 2), BOTH);
      const wanted = own.loss.sub(own.crossEntropy).add(termsOf(given, { plain: true }).crossEntropy);
      expect(differenceOf(part, gradientsOf(given.model, wanted))).toBeLessThan(2e-4);
      given.model.dispose();
    });
  });

  it("averages to the guidance of the whole batch over all parts of a batch", () => {
    tidy(() => {
      const given = subject();
      const halves = [0, 1].map((half) => {
        const order = tensor(
          Array.from({ length: BATCH }, (_, i) => (i + half * (BATCH / 2)) % BATCH),
          { dtype: "int64" },
        );
        const turned = {
          ...given,
          images: given.images.indexSelect(0, order),
          labels: given.labels.indexSelect(0, order),
        };
        return (termsOf(turned, { guideShare: 0.5 }).prototypeLoss as Tensor).item();
      });
      const whole = (termsOf(given, {}).prototypeLoss as Tensor).item();
      expect(((halves[0] as number) + (halves[1] as number)) / 2).toBeCloseTo(whole, 5);
      given.model.dispose();
    });
  });

  it("gives a baseline with input gradients its part of the images, masks and labels", () => {
    tidy(() => {
      const given = subject("simple-cnn");
      const masks = rand([BATCH, 28, 28]).round();
      const config = (share: number) =>
        parseTrainConfig({ baseline: "rrr", dataset: "decoy-mnist", guideShare: share });
      const loss = ({ model, images, labels, prototypes }: Subject, share: number, count: number) => {
        const guidance = { config: config(share), camLayer: "pool2", prototypes, camEma: null };
        const options = { step: 0, guidance, amp: false, masks: masks.narrow(0, 0, count) };
        return objective(model, images, labels, options).baselineLoss as Tensor;
      };
      expect(loss(given, 0.25, BATCH).item()).toBeCloseTo(loss(first(given, 3), 1, 3).item(), 5);
      given.model.dispose();
    });
  });
});
