import { describe, expect, it } from "vitest";
import { type ExplainedCase, explainedCase } from "../../test/support/explained-case.ts";
import { explain } from "../cam/index.ts";
import {
  getRngState,
  manualSeed,
  memory,
  ones,
  rand,
  randn,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../tensor/index.ts";
import { definedMean } from "./maps.ts";
import { parameterRandomisation, type Randomisable, type RandomisationOptions } from "./randomisation.ts";

/** A model y = relu(x·a)·b + c on 4x4 maps, with three parameters in two layers. */
function twoLayers(): { model: Randomisable; explain: () => Tensor; parameters: Map<string, Tensor> } {
  const input = randn([3, 4, 4]);
  const parameters = new Map([
    ["low.weight", randn([4, 4], { requiresGrad: true })],
    ["top.weight", randn([4, 4], { requiresGrad: true })],
    ["top.bias", zeros([4], { requiresGrad: true })],
  ]);
  const of = (name: string) => parameters.get(name) as Tensor;
  return {
    model: { namedParameters: () => parameters },
    explain: () => input.matmul(of("low.weight")).relu().matmul(of("top.weight")).add(of("top.bias")),
    parameters,
  };
}

const bytesOf = (parameters: ReadonlyMap<string, Tensor>) =>
  Array.from(parameters, ([name, parameter]) => [name, Buffer.from(parameter.data().buffer).toString("hex")]);

const gradCam = ({ model, images, labels }: ExplainedCase) => {
  const targets = labels.to("int64");
  return () => explain(model, images, { method: "GradCAM", targets }).maps;
};

describe("parameterRandomisation", () => {
  it("randomises layer after layer from the top of a real network, whose maps stop resembling themselves", () =>
    tidy(() => {
      const given = explainedCase();
      const state = given.model.stateDict();
      const before = bytesOf(state);
      const rows = parameterRandomisation(given.model, gradCam(given), { seed: 1 });
      expect(rows.map(({ layer }) => layer)).toEqual(["fc", "bn3", "conv3", "bn2", "conv2", "bn1", "conv1"]);
      for (const { spearman, pearson } of rows) expect([spearman.shape, pearson.shape]).toEqual([[4], [4]]);
      const likeness = rows.map(({ spearman }) => definedMean(spearman)).filter(({ defined }) => defined > 0);
      expect(likeness.at(-1)?.mean).toBeLessThan(0.5);
      expect(bytesOf(state)).toEqual(before);
    }));

  it("finds a likeness of 1 for an explanation that does not look at the model", () =>
    tidy(() => {
      const { model } = twoLayers();
      const edges = rand([2, 6, 6]);
      for (const { spearman, pearson } of parameterRandomisation(model, () => edges)) {
        expect(spearman).toBeAllclose([1, 1]);
        expect(pearson).toBeAllclose([1, 1]);
      }
    }));

  it("keeps what it randomised in a cascade, and puts it back where layers are independent", () =>
    tidy(() => {
      const { model, parameters } = twoLayers();
      const changed: string[] = [];
      const original = new Map(Array.from(parameters, ([name, parameter]) => [name, parameter.detach().clone()]));
      const watch = () => {
        const names = Array.from(parameters, ([name, value]) =>
          value.equal(original.get(name) as Tensor) ? "" : name,
        );
        changed.push(names.filter(Boolean).join(" "));
        return zeros([1, 1, 2]);
      };
      parameterRandomisation(model, watch);
      expect(changed.splice(0)).toEqual(["", "top.weight", "low.weight top.weight"]);
      parameterRandomisation(model, watch, { mode: "independent" });
      expect(changed.splice(0)).toEqual(["", "top.weight", "low.weight"]);
      parameterRandomisation(model, watch, { layers: ["low", "top.weight", "top"] });
      expect(changed).toEqual(["", "low.weight", "low.weight top.weight", "low.weight top.weight"]);
    }));

  it("draws values of each parameter's mean and deviation, or shuffles its own, or takes what a function gives", () =>
    tidy(() => {
      const weight = randn([100, 50]).mul(3).add(7);
      const model = { namedParameters: () => new Map([["weight", weight]]) };
      const own = weight.data() as Float32Array;
      const drawn = (reinitialise: NonNullable<RandomisationOptions["reinitialise"]>) => {
        let last = own;
        const look = () => {
          last = weight.data() as Float32Array;
          return weight.unsqueeze(0).clone();
        };
        const [row] = parameterRandomisation(model, look, { reinitialise });
        expect(Math.abs(row?.pearson.item() ?? 1)).toBeLessThan(0.1);
        expect(weight.data()).toEqual(own);
        return last;
      };
      const normal = tensor(drawn("normal"));
      expect(normal.mean().item()).toBeAllclose(7, { atol: 0.2 });
      expect(normal.std().item()).toBeAllclose(3, { atol: 0.2 });
      expect(drawn("permute").toSorted()).toEqual(own.toSorted());
      expect(drawn((parameter, name) => rand(parameter.shape).mul(name.length)).every((value) => value <= 6)).toBe(
        true,
      );
    }));

  it("leaves a parameter of equal values as it is, but for a function", () =>
    tidy(() => {
      const bias = tensor([0.25]);
      const model = { namedParameters: () => new Map([["bias", bias]]) };
      const seen: number[] = [];
      const look = () => {
        seen.push(bias.item());
        return zeros([1, 1, 2]);
      };
      for (const reinitialise of ["normal", "permute", () => ones([1])] as const)
        parameterRandomisation(model, look, { reinitialise });
      expect(seen).toEqual([0.25, 0.25, 0.25, 0.25, 0.25, 1]);
    }));

  it("draws by its own seed, and leaves the thread's generator as it was", () =>
    tidy(() => {
      const { model, explain: maps } = twoLayers();
      const likeness = (options: RandomisationOptions) =>
        parameterRandomisation(model, maps, options).map(({ pearson }) => Array.from(pearson.data() as Float64Array));
      manualSeed(1);
      const first = likeness({ seed: 4 });
      manualSeed(2);
      const before = getRngState();
      expect(likeness({ seed: 4 })).toEqual(first);
      expect(likeness({ seed: 5 })).not.toEqual(first);
      expect(likeness({ seed: 4, reinitialise: (parameter) => randn(parameter.shape) })).not.toEqual(first);
      expect(getRngState().equal(before)).toBe(true);
    }));

  it.each(["normal", "permute"] as const)("keeps dtypes, graphs and gradients of the parameters: %s", (reinitialise) =>
    tidy(() => {
      const { model, explain: maps, parameters } = twoLayers();
      const narrow = randn([3, 2]).to("bfloat16");
      parameters.set("narrow", narrow);
      parameterRandomisation(model, maps, { reinitialise });
      expect(narrow.dtype).toBe("bfloat16");
      for (const [name, parameter] of parameters) {
        expect(parameter.requiresGrad).toBe(name !== "narrow");
        expect(parameter.isLeaf).toBe(true);
        expect(parameter.grad).toBe(null);
      }
    }),
  );

  it("is NaN where a map is constant", () =>
    tidy(() => {
      const { model } = twoLayers();
      const [row] = parameterRandomisation(model, () => tensor([[[0, 0]], [[1, 2]]]));
      expect(row?.spearman).toBeAllclose([Number.NaN, 1], { equalNan: true });
    }));
});

describe("parameterRandomisation gives every bit of the weights back", () => {
  /** Values that arithmetic would not restore exactly: NaN with a payload, −0, the smallest number. */
  function hostile() {
    const bits = Uint32Array.of(0x7fc00123, 0x80000000, 1, 0x3f800000);
    const weight = tensor(new Float32Array(bits.buffer));
    return { weight, model: { namedParameters: () => new Map([["fc.weight", weight]]) } };
  }

  it.each<[string, (calls: number, weight: Tensor) => Tensor, RandomisationOptions, RegExp | undefined]>([
    ["when it ends", () => zeros([1, 1, 2]), {}, undefined],
    [
      "when the first explanation throws",
      () => {
        throw new RangeError("first");
      },
      {},
      /first/,
    ],
    [
      "when a later one throws",
      (calls) => {
        if (calls === 2) throw new RangeError("later");
        return zeros([1, 1, 2]);
      },
      {},
      /later/,
    ],
    ["when maps change their size", (calls) => zeros([1, 1, calls]), {}, /must be \[N, H, W=1\], got \[1, 1, 2\]/],
    [
      "when the explanation overwrites them",
      (_, weight) => {
        weight.fill_(5);
        return zeros([1, 1, 2]);
      },
      {},
      undefined,
    ],
    [
      "when re-initialising throws after it wrote",
      () => zeros([1, 1, 2]),
      {
        reinitialise(parameter) {
          parameter.fill_(1);
          throw new RangeError("written");
        },
      },
      /written/,
    ],
    [
      "when re-initialising gives another shape",
      () => zeros([1, 1, 2]),
      { reinitialise: () => zeros([1]) },
      /must be \[4\], got \[1\]/,
    ],
    ["when it gives no tensor", () => zeros([1, 1, 2]), { reinitialise: () => 1 as never }, /expected a Tensor, got 1/],
  ])("%s", (_, explanation, options, message) =>
    tidy(() => {
      const { weight, model } = hostile();
      const before = bytesOf(model.namedParameters());
      let calls = 0;
      const { liveTensors } = memory();
      const run = () => tidy(() => void parameterRandomisation(model, () => explanation(++calls, weight), options));
      if (message === undefined) run();
      else expect(run).toThrow(message);
      expect(bytesOf(model.namedParameters())).toEqual(before);
      expect(memory().liveTensors).toBe(liveTensors);
    }),
  );
});

describe("parameterRandomisation refuses", () => {
  const parameters = (entries: [unknown, unknown][]) => ({ namedParameters: () => new Map(entries) }) as never;
  const model = parameters([["fc.weight", ones([2])]]);
  const maps = () => zeros([1, 2, 2]);
  const gone = ones([2]);
  gone.dispose();

  it.each<[string, () => unknown, string, RegExp]>([
    ["no model", () => parameterRandomisation(null as never, maps), "E_ARGUMENT", /model must be an object, got null/],
    [
      "a model without parameters' names",
      () => parameterRandomisation({} as never, maps),
      "E_ARGUMENT",
      /model.namedParameters must be a function/,
    ],
    [
      "parameters in an object",
      () => parameterRandomisation({ namedParameters: () => ({}) } as never, maps),
      "E_ARGUMENT",
      /must be a Map/,
    ],
    ["no parameter", () => parameterRandomisation(parameters([]), maps), "E_ARGUMENT", /no parameter to randomise/],
    [
      "a parameter that is none",
      () => parameterRandomisation(parameters([["w", 1]]), maps),
      "E_ARGUMENT",
      /w: expected a Tensor, got 1/,
    ],
    [
      "a name that is none",
      () => parameterRandomisation(parameters([[1, ones([1])]]), maps),
      "E_ARGUMENT",
      /name: expected a string, got 1/,
    ],
    [
      "a disposed parameter",
      () => parameterRandomisation(parameters([["w", gone]]), maps),
      "E_DISPOSED",
      /w: the tensor was disposed/,
    ],
    [
      "no explanation",
      () => parameterRandomisation(model, zeros([1, 2, 2]) as never),
      "E_ARGUMENT",
      /explain must be a function/,
    ],
    [
      "flat maps",
      () => parameterRandomisation(model, () => zeros([2, 2])),
      "E_SHAPE",
      /maps that explain returned must be \[N, H, W\]/,
    ],
    ["maps of no pixel", () => parameterRandomisation(model, () => zeros([1, 0, 2])), "E_SHAPE", /have no pixel/],
    [
      "promised maps",
      () => parameterRandomisation(model, (async () => maps()) as never),
      "E_ARGUMENT",
      /must be synchronous/,
    ],
    [
      "an unknown layer",
      () => parameterRandomisation(model, maps, { layers: ["f"] }),
      "E_ARGUMENT",
      /belongs to layer "f"; its layers are fc$/,
    ],
    [
      "a layer that is no name",
      () => parameterRandomisation(model, maps, { layers: [1] as never }),
      "E_ARGUMENT",
      /belongs to layer 1;/,
    ],
    ["no layer", () => parameterRandomisation(model, maps, { layers: [] }), "E_ARGUMENT", /layers name no layer/],
    [
      "a name for a list",
      () => parameterRandomisation(model, maps, { layers: "fc" as never }),
      "E_ARGUMENT",
      /layers must be a list/,
    ],
    [
      "another mode",
      () => parameterRandomisation(model, maps, { mode: "top" as never }),
      "E_ARGUMENT",
      /mode: expected "cascade"/,
    ],
    [
      "another draw",
      () => parameterRandomisation(model, maps, { reinitialise: "zero" as never }),
      "E_ARGUMENT",
      /expected "normal", "permute"/,
    ],
    [
      "a seed that is none",
      () => parameterRandomisation(model, maps, { seed: 0.5 }),
      "E_ARGUMENT",
      /seed must be an integer >= 0/,
    ],
    [
      "options that are none",
      () => parameterRandomisation(model, maps, null as never),
      "E_ARGUMENT",
      /options must be an object/,
    ],
  ])("%s", (_, run, code, message) => {
    expect(() => tidy(run)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(() => tidy(run)).toThrow(/^parameterRandomisation: /);
  });
});
