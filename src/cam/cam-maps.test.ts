import { afterEach, describe, expect, it } from "vitest";
import { kernelsRunBy } from "../../test/support/kernels-run.ts";
import { setFusedTraining } from "../nn/index.ts";
import { grad, manualSeed, ones, randn, type Tensor, tensor, zeros } from "../tensor/index.ts";
import { camMaps, type SizedMaps } from "./batch-cam.ts";

afterEach(() => {
  setFusedTraining(true);
});

const EPS = 1e-8;
const length = (t: Tensor): number => t.to("float64").square().sum().sqrt().item();
const apart = (a: Tensor, b: Tensor): number =>
  length(a.to("float64").sub(b.to("float64"))) / Math.max(length(b), 1e-12);
const fresh = (t: Tensor): Tensor => t.detach().requiresGrad_();

interface Case {
  batch: number;
  channels: number;
  from: [number, number];
  to: [number, number];
}

const CASES: Case[] = [
  { batch: 3, channels: 128, from: [7, 7], to: [28, 28] },
  { batch: 2, channels: 5, from: [3, 4], to: [11, 9] },
  { batch: 1, channels: 17, from: [1, 1], to: [5, 6] },
  { batch: 2, channels: 33, from: [6, 5], to: [6, 5] },
  { batch: 2, channels: 8, from: [9, 10], to: [4, 3] },
  { batch: 2, channels: 16, from: [4, 4], to: [1, 1] },
  { batch: 4, channels: 1, from: [2, 7], to: [33, 17] },
];

function both(A: Tensor, alpha: Tensor, size: [number, number]): [SizedMaps, SizedMaps] {
  setFusedTraining(false);
  const plain = camMaps(A, alpha, { size, eps: EPS });
  setFusedTraining(true);
  return [camMaps(A, alpha, { size, eps: EPS }), plain];
}

describe.each([
  { dtype: "float32", within: 2e-5 },
  { dtype: "bfloat16", within: 1e-2 },
] as const)("camMaps of $dtype", ({ dtype, within }) => {
  it.each(CASES.map((of) => ({ ...of, name: JSON.stringify(of) })))(
    "is the weighted sum, rectified, resized and normalised, with both derivatives: $name",
    ({ batch, channels, from, to }) => {
      manualSeed(4);
      const A = fresh(
        randn([batch, ...from, channels])
          .abs()
          .permute([0, 3, 1, 2])
          .to(dtype),
      );
      const alpha = fresh(randn([batch, channels]));
      const [fused, plain] = both(A, alpha, to);
      expect(fused.maps.dtype).toBe("float32");
      expect(fused.maps.sizes).toEqual([batch, ...to]);
      expect(apart(fused.raw, plain.raw)).toBeLessThan(2e-6);
      expect(apart(fused.maps, plain.maps)).toBeLessThan(2e-5);

      const [dmaps, draw] = [randn(fused.maps.sizes), randn(fused.raw.sizes)] as const;
      const results = [fused, plain].map(({ maps, raw }) => {
        const loss = maps.mul(dmaps).sum().add(raw.mul(draw).sum());
        const first = grad(loss, [A, alpha], { createGraph: true }) as [Tensor, Tensor];
        const slope = first[0].to("float32").square().sum().add(first[1].square().sum());
        return { first, second: grad(slope, [A, alpha]) as [Tensor, Tensor] };
      }) as { first: [Tensor, Tensor]; second: [Tensor, Tensor] }[];
      for (const order of ["first", "second"] as const)
        for (const i of [0, 1]) {
          const [a, b] = results.map((of) => of[order][i] as Tensor) as [Tensor, Tensor];
          expect(apart(a, b), `${order} derivative, ${["activations", "alpha"][i]}`).toBeLessThan(within);
        }
    },
  );
});

describe("camMaps by one kernel", () => {
  it("is one kernel, and operators where it is switched off", () => {
    const ran = (on: boolean) => {
      setFusedTraining(on);
      const [A, alpha] = [fresh(randn([2, 24, 5, 5])), fresh(randn([2, 24]))];
      return kernelsRunBy(() => camMaps(A, alpha, { size: [12, 13], eps: EPS })).join();
    };
    expect(ran(true)).toContain("batch_cam::cam_maps");
    expect(ran(false)).not.toContain("batch_cam::");
  });

  it("takes the first derivative without the graph of the second as the layers do", () => {
    manualSeed(5);
    const [A, alpha] = [fresh(randn([3, 24, 5, 5]).abs()), fresh(randn([3, 24]))];
    const [fused, plain] = both(A, alpha, [12, 13]);
    const weights = randn([3, 12, 13]);
    const of = ({ maps }: SizedMaps) => grad(maps.mul(weights).sum(), [A, alpha]) as [Tensor, Tensor];
    const [[dA, dAlpha], [plainA, plainAlpha]] = [of(fused), of(plain)];
    expect(apart(dA, plainA)).toBeLessThan(1e-5);
    expect(apart(dAlpha, plainAlpha)).toBeLessThan(1e-5);
  });

  it.each([
    [3, 28],
    [5, 28],
    [7, 23],
    [1, 33],
    [7, 30],
  ])("gives zeros with a zero gradient for a constant map, of side %i at side %i", (from, to) => {
    const A = ones([2, 3, from, from]).mul(0.1).requiresGrad_();
    const alpha = fresh(tensor([0.7, -0.1, 0.3, -1, -2, -3], { shape: [2, 3] }));
    const { maps, raw } = camMaps(A, alpha, { size: [to, to], eps: EPS });
    expect(maps.abs().max().item()).toBe(0);
    expect(
      raw
        .amax([1, 2])
        .sub(raw.amin([1, 2]))
        .abs()
        .max()
        .item(),
    ).toBe(0);
    for (const createGraph of [true, false]) {
      const options = { createGraph, retainGraph: true };
      const [dA, dAlpha] = grad(maps.sum(), [A, alpha], options) as [Tensor, Tensor];
      expect(dA.abs().max().item()).toBe(0);
      expect(dAlpha.abs().max().item()).toBe(0);
    }
  });

  it("shares the gradient of the extremes among their ties", () => {
    const rows = [
      [0, 0, 1],
      [0.5, 1, 0],
      [1, 0.25, 0],
    ];
    const A = fresh(tensor(rows.flat(), { shape: [1, 1, 3, 3] }));
    const [fused, plain] = both(A, ones([1, 1]), [3, 3]);
    const weights = randn([1, 3, 3]);
    const [a, b] = [fused, plain].map(({ maps }) => grad(maps.mul(weights).sum(), [A])[0] as Tensor) as [
      Tensor,
      Tensor,
    ];
    expect(apart(a, b)).toBeLessThan(1e-6);
  });

  it("lets NaN and infinity be seen", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const values = new Float32Array(2 * 4 * 9).fill(1);
      values[5] = bad;
      const [{ maps }] = both(tensor(values, { shape: [2, 4, 3, 3] }), ones([2, 4]), [6, 6]);
      expect(Number.isNaN(maps.narrow(0, 0, 1).sum().item())).toBe(true);
      expect(maps.narrow(0, 1, 1).sum().item()).toBe(0);
    }
  });

  it("leaves an empty batch, and an eps that is none, to the layers", () => {
    expect(camMaps(zeros([0, 2, 3, 3]), zeros([0, 2]), { size: [4, 4], eps: EPS }).maps.sizes).toEqual([0, 4, 4]);
    expect(() => camMaps(ones([1, 2, 3, 3]), ones([1, 2]), { size: [4, 4], eps: 0 })).toThrow(/eps must be/);
  });

  it("leaves float64 to the layers", () => {
    const { maps } = camMaps(randn([1, 2, 3, 3]).to("float64"), zeros([1, 2]).to("float64"), {
      size: [4, 4],
      eps: EPS,
    });
    expect(maps.dtype).toBe("float64");
  });
});
