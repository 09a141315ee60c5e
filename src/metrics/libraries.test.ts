import { describe, expect, it } from "vitest";
import { type ExplainedCase, explainedCase } from "../../test/support/explained-case.ts";
import { fixture } from "../../test/support/fixtures.ts";
import { explain } from "../cam/index.ts";
import { cat, manualSeed, rand, stack, type Tensor, tidy, zerosLike } from "../tensor/index.ts";
import { confidence } from "./confidence.ts";
import { spearman } from "./correlation.ts";
import { energyInMask } from "./energy.ts";
import { imputeLinearly } from "./imputation.ts";
import { pointingGame, relevanceRankAccuracy } from "./localisation.ts";
import { descendingRanks } from "./maps.ts";
import { deletionCurve, insertionCurve } from "./perturbation-curve.ts";
import { parameterRandomisation, type Reinitialise } from "./randomisation.ts";
import { road } from "./road.ts";
import { maxSensitivity } from "./sensitivity.ts";
import { sparseness } from "./sparseness.ts";

const NaNs = { equalNan: true };
const EXACT = { rtol: 0, atol: 1e-12 };
const gradCam = ({ model }: ExplainedCase, images: Tensor, targets: Tensor) =>
  explain(model, images, { method: "GradCAM", targets, convention: "pytorch-grad-cam" }).maps;

describe("Quantus' metrics of maps", () => {
  const reference = fixture("metrics_extra_maps");
  const theirs = (name: string) => reference.reference(`out/${name}`);
  /** Twelve maps with their masks. Maps 4 to 7 have negative values, and maps from 8 on have ties. */
  const given = () => {
    const { maps: base, masks: few } = explainedCase();
    return { maps: reference.tensor("input/maps"), masks: cat([few, few, few]), base, few };
  };
  const first = (count: number, values: Tensor) => values.narrow(0, 0, count);

  it("Sparseness is sparseness where it divides each map by its own largest value", () =>
    tidy(() => {
      const { maps } = given();
      const ours = sparseness(maps);
      expect(ours).toBeAllclose(theirs("Sparseness"), { rtol: 1e-12, atol: 0 });
      expect(first(4, ours)).toBeAllclose(first(4, theirs("Sparseness/together")), { rtol: 1e-12, atol: 0 });
      expect(ours).toBeAllclose(theirs("Sparseness/together"), { rtol: 1e-3, atol: 0 });
      expect(ours).not.toBeAllclose(theirs("Sparseness/together"), { rtol: 1e-4, atol: 0 });
    }));

  it("PointingGame is pointingGame with any of equal values", () =>
    tidy(() => {
      const { maps, masks } = given();
      expect(pointingGame(maps, masks, { ties: "any" })).toBeAllclose(theirs("PointingGame"), { rtol: 0, atol: 0 });
      const strict = pointingGame(maps, masks);
      expect(first(8, strict)).toBeAllclose(first(8, theirs("PointingGame")), { rtol: 0, atol: 0 });
      expect([strict.select(0, 11).item(), theirs("PointingGame").select(0, 11).item()]).toEqual([0, 1]);
    }));

  it("RelevanceRankAccuracy is relevanceRankAccuracy, of magnitudes if asked", () =>
    tidy(() => {
      const [maps, masks] = [first(8, given().maps), first(8, given().masks)];
      const exact = { rtol: 1e-15, atol: 0 };
      expect(relevanceRankAccuracy(maps, masks)).toBeAllclose(theirs("RelevanceRankAccuracy"), exact);
      expect(relevanceRankAccuracy(maps.abs(), masks)).toBeAllclose(theirs("RelevanceRankAccuracy/abs"), exact);
    }));

  it("RelevanceMassAccuracy is energyInMask if no value is negative, AttributionLocalisation of the positive ones", () =>
    tidy(() => {
      const { maps, masks } = given();
      const ours = energyInMask(maps, masks);
      const exact = { rtol: 1e-12, atol: 0 };
      const mass = theirs("RelevanceMassAccuracy");
      expect(first(4, ours)).toBeAllclose(first(4, mass), exact);
      expect(ours.narrow(0, 8, 4)).toBeAllclose(mass.narrow(0, 8, 4), exact);
      expect(ours.narrow(0, 4, 4)).not.toBeAllclose(mass.narrow(0, 4, 4), { rtol: 0.1, atol: 0.1 });
      const near = { rtol: 0, atol: 2e-9 }; // Quantus adds 1e-9 to the sum
      expect(ours).toBeAllclose(theirs("AttributionLocalisation/positive"), near);
      expect(energyInMask(maps.abs(), masks)).toBeAllclose(theirs("AttributionLocalisation"), near);
    }));

  it("have values where these are NaN: for an empty mask, then for a dead map", () =>
    tidy(() => {
      const { base, few } = given();
      const [map, mask] = [base.select(0, 0), few.select(0, 0)];
      const maps = stack([map, zerosLike(map)]);
      const masks = stack([zerosLike(mask), mask]);
      const compared = {
        Sparseness: [sparseness(maps), [0.42417463018690715, Number.NaN], [0.42417463018690715, 0]],
        PointingGame: [pointingGame(maps, masks, { ties: "any" }), [Number.NaN, Number.NaN], [1, 1]],
        RelevanceMassAccuracy: [energyInMask(maps, masks), [0, Number.NaN], [Number.NaN, Number.NaN]],
        AttributionLocalisation: [energyInMask(maps, masks), [0, Number.NaN], [Number.NaN, 0]],
        RelevanceRankAccuracy: [first(1, relevanceRankAccuracy(maps, masks)), [Number.NaN], [Number.NaN]],
      } as const;
      for (const [name, [ours, here, there]] of Object.entries(compared)) {
        expect(ours).toBeAllclose(here, NaNs);
        expect(theirs(`undefined/${name}`)).toBeAllclose(there, NaNs);
      }
    }));
});

describe("captum's sensitivity_max", () => {
  const { params, ...reference } = fixture("metrics_extra_sensitivity");
  /**
   * captum's perturbations, which come from one random stream for the whole batch, with the samples of an image next to
   * each other.
   */
  const perturbations = () => {
    manualSeed(params.seed);
    const [count, samples] = [4, params.samples as number];
    const uniform = rand([count * samples, 1, 28, 28])
      .mul(2)
      .sub(1);
    return uniform.mul(params.radius).view([count, samples, 1, 28, 28]).transpose(0, 1);
  };

  it("is maxSensitivity, with the same perturbations", () =>
    tidy(() => {
      const given = explainedCase();
      const labels = given.labels.to("int64");
      const explained = (images: Tensor, rows: Tensor) => gradCam(given, images, labels.indexSelect(0, rows));
      const ours = maxSensitivity(explained, given.images, { perturbations: perturbations() });
      expect(ours).toBeAllclose(reference.tensor("out/GradCAM"), { rtol: 1e-4, atol: 0 });
    }));

  it("does not divide by the norm of a dead map either", () =>
    tidy(() => {
      const options = { perturbations: perturbations(), batchSize: 3 };
      const ours = maxSensitivity((images) => images.select(1, 0).sub(1).relu(), explainedCase().images, options);
      expect(ours).toBeAllclose(reference.tensor("out/dead"), { rtol: 1e-6, atol: 0 });
    }));
});

describe("Quantus' MPRT", () => {
  const reference = fixture("metrics_extra_randomisation");
  const near = { rtol: 0, atol: 5e-4 }; // the maps differ by rounding, which changes the order of close values
  const stored: Reinitialise = (_, name) => reference.tensor(`input/random/${name}`);

  it("compares maps by spearman", () =>
    tidy(() => {
      const [whole, changed] = [reference.tensor("input/maps/whole"), reference.tensor("input/maps/fc")];
      expect(spearman(whole, changed)).toBeAllclose(reference.reference("out/as_is/cascade/fc"), EXACT);
    }));

  /** Behaves like batch norms in Quantus, which reset the running statistics with the weights. */
  const forgetful =
    ({ model }: ExplainedCase): Reinitialise =>
    (parameter, name) => {
      const buffers = model.namedBuffers();
      buffers.get(name.replace("weight", "running_mean"))?.fill_(0);
      buffers.get(name.replace("weight", "running_var"))?.fill_(1);
      return stored(parameter, name);
    };

  const rowsOf = (mode: "cascade" | "independent", reinitialise: (given: ExplainedCase) => Reinitialise) => {
    const given = explainedCase();
    const targets = given.labels.to("int64");
    const explained = () => gradCam(given, given.images, targets);
    return parameterRandomisation(given.model, explained, { mode, reinitialise: reinitialise(given) });
  };

  it.each(["cascade", "independent"] as const)("is parameterRandomisation with its weights, %s", (mode) =>
    tidy(() => {
      const rows = rowsOf(mode, () => stored);
      expect(rows.map(({ layer }) => layer)).toEqual(["fc", "bn3", "conv3", "bn2", "conv2", "bn1", "conv1"]);
      for (const { layer, spearman } of rows) {
        const expected = reference.reference(`out/buffers_kept/${mode}/${layer}`);
        expect(spearman).toBeAllclose(expected, { ...near, ...NaNs });
      }
    }),
  );

  it("differs as it is by the running statistics that it resets, and by nothing else", () =>
    tidy(() => {
      const rows = rowsOf("cascade", forgetful);
      for (const { layer, spearman } of rows)
        expect(spearman).toBeAllclose(reference.reference(`out/as_is/cascade/${layer}`), near);
      const last = reference.reference("out/buffers_kept/cascade/conv1");
      expect(rows.at(-1)?.spearman).not.toBeAllclose(last, { rtol: 0, atol: 0.1 });
    }));
});

describe("torch-cam's metrics", () => {
  const { params, reference } = fixture("metrics_extra_confidence");

  it("ClassificationMetric is confidence, but for 1e-7 in the denominator", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const { drop, increase } = confidence(predict, images, maps, labels);
      expect(drop).toBeAllclose(reference("out/avg_drop"), { rtol: 1e-5, atol: 1e-6 });
      expect(increase).toBeAllclose(reference("out/conf_increase"), { rtol: 0, atol: 0 });
    }));

  it.each(["deletion", "insertion"] as const)("DeletionInsertionMetric is the area of the %s curve", (kind) =>
    tidy(() => {
      const { predict, images, maps, labels, reference: base } = explainedCase();
      const blurred = base.tensor("input/blurred");
      const curve = kind === "deletion" ? deletionCurve : insertionCurve;
      for (const steps of params.steps as number[]) {
        const atol = 784 % steps === 0 ? 1e-6 : 1e-3; // torch-cam's steps have other sizes if they do not divide 784
        for (const [name, baseline] of [["zero", "zero"] as const, ["blur", blurred] as const]) {
          const { auc } = curve(predict, images, maps, labels, { steps, baseline });
          expect(auc).toBeAllclose(reference(`out/${name}_${steps}/${kind}_auc`), { rtol: 0, atol });
        }
      }
    }),
  );
});

describe("ROAD of the libraries", () => {
  const reference = fixture("metrics_extra_road");

  it("is road's combined score in pytorch-grad-cam", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const { combined } = road(predict, images, maps, labels, { noise: 0 });
      expect(combined).toBeAllclose(reference.tensor("out/ROADCombined"), { rtol: 1e-5, atol: 1e-6 });
    }));

  it("imputes as imputeLinearly in Quantus", () =>
    tidy(() => {
      const { images, maps } = explainedCase();
      const removed = descendingRanks(maps.flatten(1)).lt(392).reshape(maps.shape);
      const ours = imputeLinearly(images, removed, { noise: 0 });
      expect(ours).toBeAllclose(reference.tensor("out/quantus/imputed"), { rtol: 0, atol: 1e-6 });
    }));
});
