// batch_cam::ssim. It is used if the kernel of batch_cam::map_distance is not available: for the metric SSIM, for
// images that are not float32, for gradients with respect to the second image, and for second derivatives.
#include "ops/ssim.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

#include "ops/failure.h"

namespace batch_cam {
namespace {

using at::Tensor;

// The number of positions whose windows are computed by one matrix product. For a window of 11 the product does 74 / 11
// times as many multiplications as a convolution, but each of them many times as fast.
constexpr int64_t kStrip = 64;

// The matrix of such a product, (kStrip + side - 1, kStrip): each column is the window at one position.
Tensor stripOf(const Tensor& taps) {
  const int64_t side = taps.size(0);
  const Tensor matrix = at::zeros({kStrip + side - 1, kStrip}, at::kDouble);
  double* to = matrix.mutable_data_ptr<double>();
  const double* from = taps.const_data_ptr<double>();
  for (int64_t position = 0; position < kStrip; ++position)
    for (int64_t t = 0; t < side; ++t) to[(position + t) * kStrip + position] = from[t];
  return matrix;
}

// Convolves planes (N, H, W) with the window along their columns. It is done in strips of kStrip positions: a matrix
// for the whole column would make the cost grow with the square of the image's side.
Tensor smoothedColumns(const Tensor& planes, const Tensor& strip) {
  const int64_t length = strip.size(0), positions = planes.size(1) - (length - kStrip), whole = positions / kStrip;
  const int64_t rest = positions - whole * kStrip;
  std::vector<Tensor> parts;
  if (whole > 0) parts.push_back(strip.t().matmul(planes.unfold(1, length, kStrip).transpose(-1, -2)).flatten(1, 2));
  if (rest > 0) {
    const int64_t last = rest + length - kStrip;
    parts.push_back(strip.slice(0, 0, last).slice(1, 0, rest).t().matmul(planes.narrow(1, whole * kStrip, last)));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts, 1);
}

Tensor smoothed(const Tensor& planes, const Tensor& strip) {
  return smoothedColumns(smoothedColumns(planes, strip).transpose(1, 2), strip).transpose(1, 2);
}

// Replaces variances that rounding made negative by zero, without a change of their derivatives.
Tensor notNegative(const Tensor& variance) { return variance - variance.detach().clamp_max(0); }

// The sum of SSIM over all positions of the window in x and y (N, rows, W): (N), by the formula of kernels/ssim.h.
Tensor similaritySum(const Tensor& x, const Tensor& y, const Tensor& shiftX, const Tensor& shiftY, const Tensor& strip,
                     double c1, double c2) {
  const Tensor a = x.to(at::kDouble) - shiftX, b = y.to(at::kDouble) - shiftY;
  const Tensor p = a + b, m = a - b;
  const std::vector<Tensor> of = smoothed(at::cat({p, m, p.square(), m.square()}), strip).chunk(4);
  const Tensor varianceP = notNegative(of[2] - of[0].square()), varianceM = notNegative(of[3] - of[1].square());
  const Tensor squareP = (of[0] + (shiftX + shiftY)).square(), squareM = (of[1] + (shiftX - shiftY)).square();
  // This form has the same bounds as 1 - 2 q / (p + q + 2 c), and is more precise for results near zero.
  const auto ratio = [](const Tensor& p, const Tensor& q, double c) { return (p - q + 2 * c) / (p + q + 2 * c); };
  const Tensor luminance = ratio(squareP, squareM, c1), structure = ratio(varianceP, varianceM, c2);
  return (luminance * structure).sum({1, 2});
}

// The number of pixels that are computed at a time. It bounds the memory to 100 MB if no graph is recorded.
constexpr int64_t kPixels = 1 << 20;

}  // namespace

// The moments are computed as the mean square minus the squared mean. A large offset of the images would make that lose
// digits, so that whole multiples of their range are subtracted first. Images within the range are not changed, so that
// the results for a window that does not add up to one remain those of pytorch-msssim.
Tensor ssim(const Tensor& x, const Tensor& y, const Tensor& window, double c1, double c2, double range) {
  expect(x.dim() == 3 && x.sizes() == y.sizes() && x.numel() > 0, FailureKind::kShape,
         "x and y must be of one shape (N, H, W), got ", x.sizes(), " and ", y.sizes());
  expect(window.dim() == 1 && window.size(0) > 0 && window.size(0) <= std::min(x.size(1), x.size(2)),
         FailureKind::kShape, "the window must fit the images, got ", window.sizes());
  const auto shiftOf = [&](const Tensor& image) {
    const Tensor mean = image.detach().mean({1, 2}, /*keepdim=*/true, /*dtype=*/at::kDouble);
    return (mean / range).trunc() * range;
  };
  const Tensor shiftX = shiftOf(x), shiftY = shiftOf(y);
  const Tensor taps = window.detach().to(at::kCPU, at::kDouble).contiguous();
  const Tensor strip = stripOf(taps).to(x.device());
  const int64_t side = taps.size(0), positions = x.size(1) - side + 1, width = x.size(2) - side + 1;
  const int64_t step = std::max<int64_t>(side, kPixels / (x.size(0) * x.size(2)));
  Tensor total;
  for (int64_t start = 0; start < positions; start += step) {
    const int64_t rows = std::min(step, positions - start) + side - 1;
    const Tensor sum = similaritySum(x.narrow(1, start, rows), y.narrow(1, start, rows), shiftX, shiftY, strip, c1, c2);
    total = total.defined() ? total + sum : sum;
  }
  return (total / static_cast<double>(positions * width)).to(x.scalar_type());
}

}  // namespace batch_cam
