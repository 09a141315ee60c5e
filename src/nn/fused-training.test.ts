import { afterEach, describe, expect, it } from "vitest";
import { kernelsRunBy } from "../../test/support/kernels-run.ts";
import { createModel } from "../models/index.ts";
import { hasConvNextMlp } from "../tensor/fused-ops.ts";
import { autocast, grad, manualSeed, noGrad, randn, type Tensor } from "../tensor/index.ts";
import { setFusedTraining } from "./index.ts";

afterEach(() => {
  setFusedTraining(true);
});

/** A network whose channels do not fill whole vectors, with maps of odd sizes. */
const OPTIONS = { numClasses: 4, inChannels: 1, stemStride: 2, dims: [6, 10, 20, 24], depths: [1, 2, 1, 1] } as const;

function shaken() {
  manualSeed(3);
  const model = createModel("convnextv2_atto", OPTIONS);
  noGrad(() => {
    for (const [name, parameter] of model.namedParameters()) {
      if (/grn|bias/.test(name)) parameter.normal_(0, 0.3);
      else parameter.mul_(3);
    }
  });
  return model;
}

const relative = (a: Tensor, b: Tensor): number =>
  a.sub(b).square().sum().sqrt().item() / Math.max(1e-12, b.square().sum().sqrt().item());

/** The logits, the gradient with respect to a map, and the parameters' gradients of a loss of both, which involve second derivatives. */
function measured(model: ReturnType<typeof shaken>, x: Tensor, { fused, amp }: { fused: boolean; amp: boolean }) {
  setFusedTraining(fused);
  const forward = () => model.forwardWith(x, { taps: ["stages.1"] });
  const { logits, taps } = amp ? autocast({ dtype: "bfloat16" }, forward) : forward();
  const map = taps["stages.1"] as Tensor;
  const [slope] = grad(logits.to("float32").narrow(1, 0, 1).sum(), [map], { createGraph: true }) as [Tensor];
  const loss = logits.to("float32").square().mean().add(slope.to("float32").square().sum());
  const gradients = grad(loss, model.parameters(), { allowUnused: true }).flatMap((g) =>
    g === null ? [] : [g.flatten()],
  );
  return { logits: logits.to("float32"), slope: slope.to("float32"), gradients };
}

// The fused block uses products of small matrices, which not every processor supports in both dtypes.
describe.each([
  { amp: false, within: 2e-4, here: hasConvNextMlp("float32") },
  { amp: true, within: 6e-2, here: hasConvNextMlp("bfloat16") },
])(
  "the fused block of ConvNeXt-V2 (bfloat16: $amp; this processor has its products: $here)",
  ({ amp, within, here }) => {
    it.skipIf(!here)("has the layers' values, gradients and second derivatives", () => {
      const model = shaken();
      const x = randn([5, 1, 22, 26]);
      const ran = (fused: boolean) => kernelsRunBy(() => measured(model, x, { fused, amp })).join();
      expect(ran(true)).toMatch(/batch_cam::depthwise_conv.*batch_cam::convnext_mlp/);
      expect(ran(false)).not.toMatch(/batch_cam::/);
      const [plain, fused] = [false, true].map((on) => measured(model, x, { fused: on, amp })) as [
        ReturnType<typeof measured>,
        ReturnType<typeof measured>,
      ];
      expect(relative(fused.logits, plain.logits)).toBeLessThan(within);
      expect(relative(fused.slope, plain.slope)).toBeLessThan(within);
      expect(fused.gradients).toHaveLength(plain.gradients.length);
      const lengths = (all: Tensor[]) => all.map((g) => g.square().sum().item()).reduce((sum, n) => sum + n, 0);
      const apart = fused.gradients.map((g, i) => g.sub(plain.gradients[i] as Tensor));
      expect(Math.sqrt(lengths(apart) / lengths(plain.gradients))).toBeLessThan(within);
    });
  },
);

describe("setFusedTraining", () => {
  it("returns the former setting, and refuses a value that is not a boolean", () => {
    expect(setFusedTraining(false)).toBe(true);
    expect(setFusedTraining(true)).toBe(false);
    expect(() => setFusedTraining("yes" as never)).toThrow(/true or false/);
  });
});
