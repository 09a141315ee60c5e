import { eye, type Tensor, where } from "../tensor/index.ts";
import { eigh, solve, upcastHalf } from "../tensor/internal.ts";

/**
 * First principal component over space of summands T (B, K, h, w): with X (h·w, K) the summands of a sample, each channel
 * less its mean, and v the first right singular vector of X, the projection X v as a map (B, h, w). Signed.
 *
 * Singular vectors have no sign of their own. Here the projection takes the one in which it correlates with Σ_k T_k, so that
 * the map is bright where the summands are large; pytorch-grad-cam keeps whatever LAPACK gives. A map without variance is zero;
 * a map that holds NaN or infinity is NaN. The map is differentiable if the first singular value is simple.
 */
export function principalComponent(summands: Tensor): Tensor {
  const [batch, , height, width] = summands.sizes as [number, number, number, number];
  const given = summands.flatten(2).transpose(1, 2).to("float64"); // (B, h·w, K); squaring halves the digits
  const broken = given.detach().abs().amax([1, 2], { keepDims: true }).lt(LARGE).logicalNot(); // (B, 1, 1)
  const flat = given.maskedFill(broken, 0);
  const centred = flat.sub(flat.mean([1], { keepDims: true }));
  const projection = project(centred).maskedFill(broken.squeeze(2), Number.NaN); // (B, h·w)
  const likeness = projection
    .detach()
    .mul(centred.detach().sum([2]))
    .sum([1], { keepDims: true });
  const sign = where(likeness.lt(0), -1, 1);
  return projection.mul(sign).view([batch, height, width]).to(upcastHalf(summands).dtype);
}

/** Beyond it the squares of squares overflow. */
const LARGE = 1e70;

/** X v, by whichever of XᵀX and XXᵀ is smaller. */
function project(x: Tensor): Tensor {
  const [, places = 0, channels = 0] = x.sizes;
  if (channels <= places) {
    const direction = leading(x.transpose(1, 2).bmm(x)); // (B, K, 1): v
    return x.bmm(direction).squeeze(2);
  }
  const direction = leading(x.bmm(x.transpose(1, 2))); // (B, h·w, 1): u, with X v = u ‖Xᵀu‖
  const squared = x.transpose(1, 2).bmm(direction).square().sum([1], { keepDims: true });
  const none = squared.eq(0);
  const length = squared.maskedFill(none, 1).sqrt().maskedFill(none, 0);
  return direction.mul(length).squeeze(2);
}

/**
 * Eigenvector (B, n, 1) of the largest eigenvalue of symmetric C (B, n, n). Its derivative is (λI − C)⁺ dC v, which needs no
 * other eigenvector: autograd's own formula divides by the differences of all pairs and is NaN for a C of low rank.
 */
function leading(c: Tensor): Tensor {
  const size = c.sizes[1] as number;
  const { values, vectors } = eigh(c.detach());
  const vector = vectors.narrow(2, size - 1, 1); // (B, n, 1)
  if (!c.requiresGrad) return vector;
  const value = values.narrow(1, size - 1, 1).unsqueeze(2); // (B, 1, 1)
  const outer = vector.bmm(vector.transpose(1, 2)); // (B, n, n)
  const scale = value.add(value.eq(0)); // a zero C has no direction, and a solvable system all the same
  const system = eye(size, { dtype: "float64" }).add(outer).mul(scale).sub(c.detach());
  const moved = c.bmm(vector);
  const tangent = moved.sub(vector.mul(vector.mul(moved).sum([1], { keepDims: true })));
  const change = solve(system, tangent.sub(tangent.detach()));
  return vector.add(change);
}
