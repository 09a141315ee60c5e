import { BatchCamError } from "../errors.ts";
import { noGrad, type Tensor, tensor, tidy } from "../tensor/index.ts";

type FanMode = "fanIn" | "fanOut";

/** Inputs and outputs of one unit of a weight (out, in, ...kernel), as torch counts them. */
export function fansOf(weight: Tensor): { fanIn: number; fanOut: number } {
  const [outputs, inputs, ...kernel] = weight.sizes;
  if (outputs === undefined || inputs === undefined) {
    throw new BatchCamError(
      "E_SHAPE",
      `init: a fan needs a weight of two dimensions or more, got [${weight.sizes.join(", ")}]`,
    );
  }
  const field = kernel.reduce((product, size) => product * size, 1);
  return { fanIn: inputs * field, fanOut: outputs * field };
}

/** Uniform in ±√3·gain/√fan, gain = √(2 / (1 + a²)): He et al. 2015, with torch's default slope for layers, a = √5. */
export function kaimingUniform_(
  weight: Tensor,
  { a = Math.sqrt(5), mode = "fanIn" }: { a?: number; mode?: FanMode } = {},
): Tensor {
  const deviation = Math.sqrt(2 / (1 + a ** 2)) / Math.sqrt(fansOf(weight)[mode]);
  const bound = Math.sqrt(3) * deviation;
  return noGrad(() => weight.uniform_(-bound, bound));
}

/** Normal with standard deviation √2/√fan, for a ReLU behind the layer: He et al. 2015. */
export function kaimingNormal_(weight: Tensor, { mode = "fanOut" }: { mode?: FanMode } = {}): Tensor {
  const deviation = Math.SQRT2 / Math.sqrt(fansOf(weight)[mode]);
  return noGrad(() => weight.normal_(0, deviation));
}

/** Uniform in ±1/√fanIn of the weight that the bias belongs to. */
export function biasUniform_(bias: Tensor, weight: Tensor): Tensor {
  const bound = 1 / Math.sqrt(fansOf(weight).fanIn);
  return noGrad(() => bias.uniform_(-bound, bound));
}

export interface TruncatedNormalOptions {
  mean?: number;
  std?: number;
  /** Values lie in [min, max], which are absolute as in torch and timm, not multiples of `std`. */
  min?: number;
  max?: number;
}

/** Normal values confined to [min, max], by the inverse of the cumulative distribution: torch's `trunc_normal_`. */
export function truncatedNormal_(
  weight: Tensor,
  { mean = 0, std = 1, min = -2, max = 2 }: TruncatedNormalOptions = {},
): Tensor {
  if (!(std > 0 && min < max)) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `truncatedNormal_: needs std > 0 and min < max, got std ${std}, min ${min}, max ${max}`,
    );
  }
  const [low, high] = [erf((min - mean) / std / Math.SQRT2), erf((max - mean) / std / Math.SQRT2)];
  noGrad(() =>
    tidy(() => {
      const normal = inverseErf(weight.uniform_(low, high).to("float64"))
        .mul(std * Math.SQRT2)
        .add(mean);
      weight.copy_(normal.clamp(min, max));
    }),
  );
  return weight;
}

const erf = (x: number): number => tidy(() => tensor([x], { dtype: "float64" }).erf().item());

/** Winitzki's approximation of erf⁻¹(y), |y| < 1, and Newton steps: x ← x − (erf x − y)·(√π/2)·exp(x²). */
function inverseErf(y: Tensor): Tensor {
  const a = 0.147;
  const bounded = y.clamp(-1 + 1e-15, 1 - 1e-15);
  const log = bounded.square().neg().add(1).log();
  const half = log.mul(0.5).add(2 / (Math.PI * a));
  let x = half.square().sub(log.div(a)).sqrt().sub(half).sqrt().mul(bounded.sign());
  for (let step = 0; step < 3; step++) {
    x = x.sub(
      x
        .erf()
        .sub(bounded)
        .mul(Math.sqrt(Math.PI) / 2)
        .mul(x.square().exp()),
    );
  }
  return x;
}
