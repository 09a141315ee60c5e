import { describe, expect, it } from "vitest";
import { BatchCamError, type ErrorCode } from "../errors.ts";
import { linear, noGrad, randn, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { type BatchCamOptions, batchCam } from "./batch-cam.ts";

interface Input {
  logits: Tensor;
  activations: Tensor;
  targets: Tensor | readonly number[];
  options: BatchCamOptions;
}

function valid(): Input {
  const activations = randn([3, 4, 5, 6], { requiresGrad: true }).mul(1);
  return { logits: linear(activations.mean([2, 3]), randn([2, 4])), activations, targets: [0, 1, 1], options: {} };
}

const disposed = () => {
  const made = randn([3, 2]);
  made.dispose();
  return made;
};

/** Values that a JavaScript caller might pass, although the types forbid them. */
// biome-ignore lint/suspicious/noExplicitAny: that is the point.
type Anything = any;

const change = (part: (input: Input) => Record<string, Anything>) => (input: Input) => ({ ...input, ...part(input) });
const options = (given: Anything) => change(() => ({ options: given }));
const targets = (given: Anything) => change(() => ({ targets: given }));

const BAD: [string, (input: Input) => Input, ErrorCode, RegExp][] = [
  ["logits of another rank", change(() => ({ logits: randn([3]) })), "E_SHAPE", /logits must be \[B, C\], got \[3\]/],
  [
    "activations of another rank",
    change(() => ({ activations: randn([3, 4]) })),
    "E_SHAPE",
    /activations must be \[B.*got \[3, 4\]/,
  ],
  [
    "batches that disagree",
    change(({ logits }) => ({ logits: logits.narrow(0, 0, 2) })),
    "E_SHAPE",
    /activations must be \[B=2, K, h, w\]/,
  ],
  [
    "an empty batch",
    change(() => ({ logits: zeros([0, 2]), activations: zeros([0, 4, 5, 6]), targets: [] })),
    "E_SHAPE",
    /activations have no values, got \[0, 4, 5, 6\]/,
  ],
  [
    "maps without a pixel",
    change(() => ({ activations: zeros([3, 4, 0, 6]) })),
    "E_SHAPE",
    /activations have no values/,
  ],
  ["logits that are no tensor", change(() => ({ logits: [[1, 2]] })), "E_ARGUMENT", /logits: expected a Tensor/],
  [
    "activations that are missing",
    change(() => ({ activations: undefined })),
    "E_ARGUMENT",
    /activations: expected a Tensor, got undefined/,
  ],
  ["disposed logits", change(() => ({ logits: disposed() })), "E_DISPOSED", /logits: the tensor was disposed/],
  ["disposed targets", targets(disposed()), "E_DISPOSED", /the tensor was disposed/],
  ["too few targets", targets([0, 1]), "E_SHAPE", /expected 3 labels, one for each sample, got 2/],
  ["a target above the classes", targets([0, 1, 2]), "E_ARGUMENT", /label 2 must be 0 to 1, got 2/],
  [
    "a negative target",
    targets(tensor([0, -1, 1], { dtype: "int64" })),
    "E_ARGUMENT",
    /label 1 must be 0 to 1, got -1/,
  ],
  ["fractional targets", targets([0, 0.5, 1]), "E_DTYPE", /label 1 must be a class index, got 0.5/],
  ["float targets", targets(tensor([0, 1, 1])), "E_DTYPE", /must be integers/],
  [
    "targets of two dimensions",
    targets(tensor([[0, 1, 1]], { dtype: "int64" })),
    "E_SHAPE",
    /must be \[N\], got \[1,3\]/,
  ],
  ["options that are no object", options(null), "E_ARGUMENT", /options must be an object, got null/],
  ["an unknown order", options({ order: "third" }), "E_ARGUMENT", /order must be "first" or "second", got "third"/],
  [
    "an upsampling to one number",
    options({ upsample: 28 }),
    "E_ARGUMENT",
    /upsample must be \[height, width\].* got 28/,
  ],
  ["an upsampling to nothing", options({ upsample: [28, 0] }), "E_ARGUMENT", /upsample must be/],
  ["an upsampling to fractions", options({ upsample: [2.5, 3] }), "E_ARGUMENT", /upsample must be/],
  [
    "a normalisation that is a number",
    options({ normalize: 0.01 }),
    "E_ARGUMENT",
    /normalize must be a boolean or \{ eps \}/,
  ],
  ["an eps of zero", options({ normalize: { eps: 0 } }), "E_ARGUMENT", /eps must be a number > 0, got 0/],
  ["a head that is no object", options({ head: 3 }), "E_ARGUMENT", /head must be \{ weight, output \}, got 3/],
  ["a head without weight", options({ head: {} }), "E_ARGUMENT", /head.weight: expected a Tensor/],
  [
    "a head of other channels",
    options({ head: { weight: zeros([2, 5]) } }),
    "E_SHAPE",
    /head.weight must be \[J, K=4\], got \[2, 5\]/,
  ],
  [
    "a head of other classes",
    options({ head: { weight: zeros([3, 4]) } }),
    "E_SHAPE",
    /head.weight must be \[J=2, columns\], got \[3, 4\]/,
  ],
  [
    "a head's output of another batch",
    options({ head: { weight: zeros([5, 4]), output: zeros([2, 5]) } }),
    "E_SHAPE",
    /head.output must be \[B=3, J\], got \[2, 5\]/,
  ],
  [
    "a head's output without a graph",
    options({ head: { weight: zeros([5, 4]), output: zeros([3, 5]) } }),
    "E_ARGUMENT",
    /head.output has no graph/,
  ],
  [
    "logits without a graph",
    change(({ logits }) => ({ logits: logits.detach() })),
    "E_ARGUMENT",
    /logits has no graph: compute both in one forward pass outside noGrad/,
  ],
  [
    "activations without a graph",
    change(({ activations }) => ({ activations: activations.detach() })),
    "E_ARGUMENT",
    /activations has no graph/,
  ],
  [
    "activations of another pass",
    change(({ activations }) => ({ activations: activations.detach().requiresGrad_() })),
    "E_ARGUMENT",
    /the logits were not computed from activations/,
  ],
  ["a forward pass under noGrad", (input) => ({ ...input, ...noGrad(valid) }), "E_ARGUMENT", /logits has no graph/],
];

describe("batchCam refuses", () => {
  it.each(BAD)("%s", (_, spoil, code, message) =>
    tidy(() => {
      const { logits, activations, targets, options } = spoil(valid());
      let thrown: unknown;
      try {
        batchCam(logits, activations, targets, options);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(BatchCamError);
      const { code: got, message: text } = thrown as BatchCamError;
      expect(text).toMatch(message);
      expect(text).toMatch(/^(batchCam|normalizeMaps): /);
      expect(got).toBe(code);
    }),
  );

  it("nothing of what it was given by changing it", () =>
    tidy(() => {
      const { logits, activations } = valid();
      expect(() => batchCam(logits, activations, [0, 1, 9])).toThrow(BatchCamError);
      expect(batchCam(logits, activations, [0, 1, 1]).shape).toEqual([3, 5, 6]);
    }));
});
