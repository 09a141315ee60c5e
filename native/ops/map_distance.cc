// Distances of two stacks of images, one number for each pair, with their gradient by the first taken in the same pass.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/table.h"
#include "memory/buffer.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

enum Kind : int64_t { kL1, kL2, kSsim };

struct Measure {
  int64_t kind;
  Tensor taps;  // of SSIM's window
  double c1, c2;

  SsimShape shapeFor(const Tensor& x) const {
    return {x.size(1), x.size(2), taps.size(0), static_cast<float>(c1), static_cast<float>(c2)};
  }
};

float elementwise(int64_t kind, int64_t count, const float* x, const float* y, float* dx) {
  const float scale = 1.0f / static_cast<float>(count);
  double total = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float difference = x[i] - y[i];
    total += kind == kL1 ? std::abs(difference) : difference * difference;
    if (dx == nullptr) continue;
    const float sign = static_cast<float>((difference > 0) - (difference < 0));
    dx[i] = kind == kL1 ? sign * scale : 2 * difference * scale;
  }
  return static_cast<float>(total * scale);
}

void distances(const Tensor& x, const Tensor& y, const Measure& measure, const Tensor& out, const Tensor& dx) {
  const int64_t count = x.size(1) * x.size(2);
  const bool similarity = measure.kind == kSsim;
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    const SsimShape shape = similarity ? measure.shapeFor(x) : SsimShape{};
    Buffer<float> scratch(similarity ? kernels().ssimScratch(shape) : 1);
    for (int64_t i = begin; i < end; ++i) {
      const float *a = dataOf<float>(x) + i * count, *b = dataOf<float>(y) + i * count;
      float* slope = dx.defined() ? dataOf<float>(dx) + i * count : nullptr;
      dataOf<float>(out)[i] = similarity
                                  ? 1 - kernels().ssim(shape, a, b, dataOf<float>(measure.taps), scratch.data(), slope)
                                  : elementwise(measure.kind, count, a, b, slope);
      if (similarity && slope != nullptr)
        for (int64_t p = 0; p < count; ++p) slope[p] = -slope[p];
    }
  });
}

// Windows that are computed by one product. A window of 11 makes it 74 / 11 times the multiplications that it takes,
// but a product does them many times as fast.
constexpr int64_t kStrip = 64;

// (kStrip + side - 1, kStrip): each column is the window at one of its positions.
Tensor stripOf(const Tensor& taps) {
  const int64_t side = taps.size(0);
  const Tensor matrix = at::zeros({kStrip + side - 1, kStrip}, at::kDouble);
  double* to = matrix.mutable_data_ptr<double>();
  const double* from = taps.const_data_ptr<double>();
  for (int64_t position = 0; position < kStrip; ++position)
    for (int64_t t = 0; t < side; ++t) to[(position + t) * kStrip + position] = from[t];
  return matrix;
}

// Smooths planes (N, H, W) along their columns, strip by strip, so that the cost grows with the image and not with the
// square of its side.
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

// A variance that rounding has made negative becomes zero, and its derivatives stay.
Tensor notNegative(const Tensor& variance) { return variance - variance.detach().clamp_max(0); }

// The sum of SSIM over the positions of windows in rows of the images, (N), by the formula of kernels/ssim.h.
Tensor similaritySum(const Tensor& x, const Tensor& y, const Tensor& shiftX, const Tensor& shiftY, const Tensor& strip,
                     double c1, double c2) {
  const Tensor a = x.to(at::kDouble) - shiftX, b = y.to(at::kDouble) - shiftY;
  const Tensor p = a + b, m = a - b;
  const std::vector<Tensor> of = smoothed(at::cat({p, m, p.square(), m.square()}), strip).chunk(4);
  const Tensor varianceP = notNegative(of[2] - of[0].square()), varianceM = notNegative(of[3] - of[1].square());
  const Tensor squareP = (of[0] + (shiftX + shiftY)).square(), squareM = (of[1] + (shiftX - shiftY)).square();
  // Of smaller values than 1 - 2 q / (p + q + 2 c) it keeps more digits, and p >= 0 and q >= 0 bound it as well.
  const auto ratio = [](const Tensor& p, const Tensor& q, double c) { return (p - q + 2 * c) / (p + q + 2 * c); };
  const Tensor luminance = ratio(squareP, squareM, c1), structure = ratio(varianceP, varianceM, c2);
  return (luminance * structure).sum({1, 2});
}

// Pixels that are computed at once, which bounds the memory: 100 MB without a graph.
constexpr int64_t kPixels = 1 << 20;

// SSIM of images (N, H, W) in libtorch's operators, in float64: (N), in the images' dtype. The difference of the mean
// square and the squared mean would lose the digits that an offset takes, so that whole multiples of the images' range
// are taken off first. Images within their range stay as they are, and what a window that does not add up to one makes
// of their variances stays what its library has.
Tensor similarity(const Tensor& x, const Tensor& y, const Tensor& window, double c1, double c2, double range) {
  TORCH_CHECK(x.dim() == 3 && x.sizes() == y.sizes() && x.numel() > 0, "x and y must be of one shape (N, H, W), got ",
              x.sizes(), " and ", y.sizes());
  TORCH_CHECK(window.dim() == 1 && window.size(0) > 0 && window.size(0) <= std::min(x.size(1), x.size(2)),
              "the window must fit the images, got ", window.sizes());
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

// The same distances in libtorch's operators, for what is differentiated twice.
Tensor composed(const Tensor& x, const Tensor& y, const Measure& measure) {
  if (measure.kind == kL1) return (x - y).abs().flatten(1).mean(1);
  if (measure.kind == kL2) return (x - y).square().flatten(1).mean(1);
  // The kernel's weights add up to one.
  const Tensor taps = measure.taps.to(at::kDouble);
  return 1 - similarity(x, y, taps / taps.sum(), measure.c1, measure.c2, /*range=*/1);
}

struct MapDistance : torch::autograd::Function<MapDistance> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& y, const Measure& measure,
                        bool differentiated) {
    const Tensor out = at::empty({x.size(0)}, at::kFloat);
    const Tensor dx = differentiated ? at::empty_like(x) : Tensor();
    distances(x, y, measure, out, dx);
    context->save_for_backward({x, y, dx, measure.taps});
    context->saved_data["kind"] = measure.kind;
    context->saved_data["c1"] = measure.c1;
    context->saved_data["c2"] = measure.c2;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &y = saved[1], &dx = saved[2];
    if (at::GradMode::is_enabled()) {
      const Measure measure{context->saved_data["kind"].toInt(), saved[3], context->saved_data["c1"].toDouble(),
                            context->saved_data["c2"].toDouble()};
      const variable_list result = gradientsWithGraph(
          context, {x}, gradients[0], [&](const variable_list& of) { return composed(of[0], y, measure); });
      return {result[0], Tensor(), Tensor(), Tensor()};
    }
    return {dx * gradients[0].view({-1, 1, 1}), Tensor(), Tensor(), Tensor()};
  }
};

Tensor mapDistance(const Tensor& x, const Tensor& y, int64_t kind, const Tensor& taps, double c1, double c2) {
  TORCH_CHECK(x.dim() == 3 && x.sizes() == y.sizes() && x.numel() > 0 && x.scalar_type() == at::kFloat &&
                  y.scalar_type() == at::kFloat,
              "x and y must be float32 of one shape (N, H, W) with values, got ", x.sizes(), " and ", y.sizes());
  TORCH_CHECK(!y.requires_grad(), "y must not require gradients");
  TORCH_CHECK(kind >= kL1 && kind <= kSsim, "unknown distance ", kind);
  TORCH_CHECK(taps.dim() == 1 && taps.scalar_type() == at::kFloat && taps.is_contiguous() && taps.size(0) > 0 &&
                  taps.size(0) <= std::min(x.size(1), x.size(2)),
              "the window must be float32 and fit the images, got ", taps.sizes());
  const bool differentiated = at::GradMode::is_enabled() && x.requires_grad();
  return MapDistance::apply(x.contiguous(), y.contiguous(), Measure{kind, taps, c1, c2}, differentiated);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("map_distance(Tensor x, Tensor y, int kind, Tensor taps, float c1, float c2) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(mapDistance)));
  library.def("ssim(Tensor x, Tensor y, Tensor window, float c1, float c2, float range) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(similarity)));
}

}  // namespace batch_cam
