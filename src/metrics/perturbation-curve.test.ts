import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { explainedCase, linearModel } from "../../test/support/explained-case.ts";
import { full, manualSeed, memory, ones, rand, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { type Baseline, deletionCurve, insertionCurve } from "./perturbation-curve.ts";

const curves = { deletion: deletionCurve, insertion: insertionCurve };
const cases = (["deletion", "insertion"] as const).flatMap((name) =>
  (["zero", "blur"] as const).map((baseline) => [name, baseline] as const),
);

describe("deletionCurve and insertionCurve", () => {
  it.each(cases)("agree with the reference: %s, baseline %s", (name, baseline) =>
    tidy(() => {
      const { reference, predict, images, maps, labels } = explainedCase();
      const blurred = reference.tensor("input/blurred");
      const options = {
        steps: reference.params.T as number,
        baseline: baseline === "zero" ? "zero" : blurred,
      } as const;
      const { curve, auc } = curves[name](predict, images, maps, labels, options);
      expect(curve).toBeAllclose(reference.reference(`out/${name}_${baseline}/curve`), { rtol: 1e-5, atol: 1e-6 });
      expect(auc).toBeAllclose(reference.reference(`out/${name}_${baseline}/auc`), { rtol: 1e-6, atol: 1e-7 });
    }),
  );

  it("remove the most salient pixels first, and of equal ones that of the lower index", () =>
    tidy(() => {
      const seen: number[][] = [];
      const record = (images: Tensor) => {
        for (const row of images.flatten(1).unbind(0)) seen.push(Array.from(row.data() as Float32Array));
        return zeros([images.sizes[0] as number, 2]);
      };
      const [images, maps] = [tensor([[[[1, 2, 3, 4]]]]), tensor([[[5, 9, 5, 7]]])];
      deletionCurve(record, images, maps, [0], { steps: 4, baseline: full([1], -1), batchSize: 2 });
      expect(seen).toEqual([
        [1, 2, 3, 4],
        [1, -1, 3, 4],
        [1, -1, 3, -1],
        [-1, -1, 3, -1],
        [-1, -1, -1, -1],
      ]);
      seen.length = 0;
      insertionCurve(record, images, maps, [0], { steps: 3 });
      expect(seen).toEqual([
        [0, 0, 0, 0],
        [0, 2, 0, 0],
        [0, 2, 0, 4],
        [1, 2, 3, 4],
      ]);
    }));

  it("take equal values in a random order of the image's own if asked, and know no scale of the map", () =>
    tidy(() => {
      manualSeed(9);
      const [weights, images] = [rand([2, 1, 6, 6]), rand([4, 1, 6, 6])];
      const [predict, maps] = [linearModel(weights), rand([4, 6, 6]).sub(0.6).relu()];
      const labels = [0, 1, 0, 1];
      const options = { ties: "random", seed: 3 } as const;
      const auc = (rows: number[], more = {}) => {
        const of = tensor(rows, { dtype: "int64" });
        const given = [
          images.indexSelect(0, of),
          maps.indexSelect(0, of),
          rows.map((row) => labels[row] as number),
        ] as const;
        return deletionCurve(predict, ...given, { ...options, ...more }).auc;
      };
      const whole = auc([0, 1, 2, 3]);
      expect(auc([2, 0])).toBeAllclose([whole.select(0, 2).item(), whole.select(0, 0).item()], { rtol: 1e-6 });
      expect(auc([0, 1, 2, 3], { seed: 4 }).equal(whole)).toBe(false);
      expect(auc([0, 1, 2, 3], { ties: "first" }).equal(whole)).toBe(false);
      const scaled = deletionCurve(predict, images, maps.mul(1e-6), labels, options).auc;
      expect(scaled).toBeAllclose(whole, { rtol: 1e-9 });
    }));

  it("start and end at the image and the baseline", () =>
    fc.assert(
      fc.property(
        fc.nat(10_000),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 9 }),
        (seed, steps, batchSize) =>
          tidy(() => {
            manualSeed(seed);
            const predict = linearModel(randn([3, 2, 4, 5]));
            const [images, other, maps] = [randn([2, 2, 4, 5]), randn([2, 2, 4, 5]), rand([2, 4, 5])];
            const options = { steps, batchSize, baseline: other };
            const [whole, gone] = [images, other].map((x) => predict(x).softmax(1).select(1, 1)) as [Tensor, Tensor];
            const deletion = deletionCurve(predict, images, maps, [1, 1], options);
            const insertion = insertionCurve(predict, images, maps, [1, 1], options);
            expect(deletion.curve.shape).toEqual([2, steps + 1]);
            for (const [curve, first, last] of [
              [deletion.curve, whole, gone],
              [insertion.curve, gone, whole],
            ] as const) {
              expect(curve.select(1, 0)).toBeAllclose(first, { rtol: 1e-4, atol: 1e-6 });
              expect(curve.select(1, steps)).toBeAllclose(last, { rtol: 1e-4, atol: 1e-6 });
            }
            // Deletion in one order equals insertion in the reverse order.
            const mirrored = insertionCurve(predict, other, maps, [1, 1], { ...options, baseline: images });
            expect(mirrored.auc).toBeAllclose(deletion.auc, { rtol: 1e-4, atol: 1e-6 });
          }),
      ),
      { numRuns: 25 },
    ));

  it("are flat for a model that ignores the image, and rank a map that knows the weights best", () =>
    tidy(() => {
      const constant = (images: Tensor) => tensor([[0, Math.log(3)]]).repeat([images.sizes[0] as number, 1]);
      const { curve, auc } = deletionCurve(constant, randn([3, 1, 6, 6]), rand([3, 6, 6]), [1, 1, 0]);
      expect(auc).toBeAllclose([0.75, 0.75, 0.25]);
      expect(curve).toBeAllclose(auc.unsqueeze(1).expand([3, 21]).contiguous());
      const weights = rand([1, 1, 6, 6]).mul(0.1);
      const predict = (images: Tensor) => linearModel(weights)(images).mul(tensor([0, 1]));
      const knowing = weights.select(1, 0);
      for (const other of [rand([1, 6, 6]), knowing.neg(), zeros([1, 6, 6])]) {
        const area = (of: typeof deletionCurve, map: Tensor) => of(predict, ones([1, 1, 6, 6]), map, [1]).auc.item();
        expect(area(deletionCurve, knowing)).toBeLessThan(area(deletionCurve, other));
        expect(area(insertionCurve, knowing)).toBeGreaterThan(area(insertionCurve, other));
      }
    }));

  it("take a function for a baseline, and what broadcasts to the images", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const of = (baseline: Baseline) => deletionCurve(predict, images, maps, labels, { steps: 3, baseline }).auc;
      const expected = of(full([4, 1, 28, 28], 0.5));
      for (const baseline of [tensor(0.5), full([28, 28], 0.5), full([1, 1, 28, 28], 0.5), full([4, 1, 1, 1], 0.5)])
        expect(of(baseline)).toBeAllclose(expected);
      expect(of((x) => x.mul(0).add(0.5))).toBeAllclose(expected);
    }));

  it("are NaN for a map with NaN alone", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      const broken = maps.clone();
      broken.select(0, 2).select(0, 0).fill_(Number.NaN);
      const { curve, auc } = insertionCurve(predict, images, broken, labels, { steps: 2 });
      expect(Array.from(auc.isnan().data(), Number)).toEqual([0, 0, 1, 0]);
      expect(curve.isnan().to("float32").sum([1])).toBeAllclose([0, 0, 3, 0]);
    }));

  it("leave nothing but their result", () =>
    tidy(() => {
      const { predict, images, maps, labels } = explainedCase();
      tidy(() => deletionCurve(predict, images, maps, labels));
      const { liveTensors } = memory();
      deletionCurve(predict, images, maps, labels, { batchSize: 10, baseline: (x) => x.mul(2) });
      expect(memory().liveTensors).toBe(liveTensors + 2);
    }));

  it.each<[string, unknown, string, RegExp]>([
    ["no step", { steps: 0 }, "E_ARGUMENT", /steps must be an integer from 1 to 65536, got 0/],
    ["half a step", { steps: 1.5 }, "E_ARGUMENT", /steps must be an integer/],
    [
      "an unknown baseline",
      { baseline: "blur" },
      "E_ARGUMENT",
      /baseline: expected "zero", a Tensor or a function.*"blur"/,
    ],
    [
      "a baseline of another size",
      { baseline: zeros([2, 1, 3, 3]) },
      "E_SHAPE",
      /broadcast to the images' \[2, 1, 4, 4\]/,
    ],
    ["a baseline of more dimensions", { baseline: zeros([1, 2, 1, 4, 4]) }, "E_SHAPE", /must broadcast/],
    ["a baseline that is none", { baseline: 5 }, "E_ARGUMENT", /baseline: expected a Tensor, got 5/],
    ["a function that makes none", { baseline: () => undefined }, "E_ARGUMENT", /baseline: expected a Tensor/],
    ["a promised baseline", { baseline: async () => 0 }, "E_ARGUMENT", /must be synchronous/],
  ])("refuse %s", (_, options, code, message) => {
    const predict = linearModel(zeros([2, 1, 4, 4]));
    const run = () =>
      tidy(() => deletionCurve(predict, zeros([2, 1, 4, 4]), zeros([2, 4, 4]), [0, 1], options as never));
    expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(run).toThrow(/^deletionCurve: /);
  });
});
