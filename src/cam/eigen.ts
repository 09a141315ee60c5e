import { eye, type Tensor, where } from "../tensor/index.ts";
import { eigh, solve, upcastHalf } from "../tensor/internal.ts";

/**
 * First principal component of the summands T (B, K, h, w) over space. X (h·w, K) has the summands of a sample with each channel's mean
 * subtracted, and v is the first right singular vector of X. The result is the signed projection X v as a map (B, h, w).
 *
 * The sign of a singular vector is arbitrary. Here it is chosen so that the projection correlates positively with Σ_k T_k, which makes
 * the map bright where the summands are large; pytorch-grad-cam keeps the sign that LAPACK returns. A map without variance is zero, and a
 * map that contains NaN or infinity is NaN. The map is differentiable if the first singular value is simple.
 */
export function principalComponent(summands: Tensor): Tensor {
  const [batch, , height, width] = summands.sizes as [number, number, number, number];
  const given = summands.flatten(2).transpose(1, 2).to("float64"); // (B, h·w, K), in float64 because squaring halves the number of correct digits
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

/** Products of two squares of larger values overflow. */
const LARGE = 1e70;

/** Computes X v from the smaller of the matrices XᵀX and XXᵀ. */
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
 * Eigenvector (B, n, 1) of the largest eigenvalue of symmetric C (B, n, n). Its derivative is (λI − C)⁺ dC v, which needs no other
 * eigenvector. Autograd's own formula divides by the differences of all pairs of eigenvalues, so it is NaN for a C of low rank.
 */
function leading(c: Tensor): Tensor {
  const size = c.sizes[1] as number;
  const { values, vectors } = eigh(c.detach());
  const vector = vectors.narrow(2, size - 1, 1); // (B, n, 1)
  if (!c.requiresGrad) return vector;
  const value = values.narrow(1, size - 1, 1).unsqueeze(2); // (B, 1, 1)
  const outer = vector.bmm(vector.transpose(1, 2)); // (B, n, n)
  const scale = value.add(value.eq(0)); // for C = 0, which has no principal direction, this keeps the system solvable
  const system = eye(size, { dtype: "float64" }).add(outer).mul(scale).sub(c.detach());
  const moved = c.bmm(vector);
  const tangent = moved.sub(vector.mul(vector.mul(moved).sum([1], { keepDims: true })));
  const change = solve(system, tangent.sub(tangent.detach()));
  return vector.add(change);
}
