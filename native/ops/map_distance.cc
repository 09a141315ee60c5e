// batch_cam::map_distance(x, y, kind, taps, c1, c2): the distance of each pair of images x and y (N, H, W), float32:
// (N). kind 0 (L1) is mean |x - y|, kind 1 (L2) is mean (x - y)², and kind 2 is 1 - SSIM with the window and constants
// of kernels/ssim.h. y must not require gradients.
//
// batch_cam::ssim(x, y, window, c1, c2, range): see ssim.h.
//
// Caller: src/losses/distance.ts, for the losses that compare maps with prototypes or with each other. The gradient
// with respect to x is computed in the forward pass, while the image's planes are in the cache; the backward pass
// multiplies it by the incoming gradient. The second derivative is composed of libtorch's operators.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/table.h"
#include "memory/aligned_buffer.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/failure.h"
#include "ops/ssim.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

enum Kind : int64_t { kL1, kL2, kSsim };

// A distance and its parameters.
struct Measure {
  int64_t kind;
  Tensor taps;  // (side), of SSIM's window
  double c1, c2;

  SsimShape shapeFor(const Tensor& x) const {
    return {x.size(1), x.size(2), taps.size(0), static_cast<float>(c1), static_cast<float>(c2)};
  }
};

// L1 or L2 of one pair of images, and its gradient with respect to x unless dx is null.
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

// out[i] = the distance of pair i, and dx[i] its gradient if dx is defined.
void distances(const Tensor& x, const Tensor& y, const Measure& measure, const Tensor& out, const Tensor& dx) {
  const int64_t count = x.size(1) * x.size(2);
  const bool isSsim = measure.kind == kSsim;
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    const SsimShape shape = isSsim ? measure.shapeFor(x) : SsimShape{};
    Buffer<float> scratch(isSsim ? kernels().ssimScratch(shape) : 1);
    for (int64_t i = begin; i < end; ++i) {
      const float *a = dataOf<float>(x) + i * count, *b = dataOf<float>(y) + i * count;
      float* slope = dx.defined() ? dataOf<float>(dx) + i * count : nullptr;
      dataOf<float>(out)[i] = isSsim
                                  ? 1 - kernels().ssim(shape, a, b, dataOf<float>(measure.taps), scratch.data(), slope)
                                  : elementwise(measure.kind, count, a, b, slope);
      if (isSsim && slope != nullptr)
        for (int64_t p = 0; p < count; ++p) slope[p] = -slope[p];
    }
  });
}

// The same with libtorch's operators, for the double backward.
Tensor composed(const Tensor& x, const Tensor& y, const Measure& measure) {
  if (measure.kind == kL1) return (x - y).abs().flatten(1).mean(1);
  if (measure.kind == kL2) return (x - y).square().flatten(1).mean(1);
  // The weights of the kernel's window add up to one in effect, so this window is divided by its sum too.
  const Tensor taps = measure.taps.to(at::kDouble);
  return 1 - ssim(x, y, taps / taps.sum(), measure.c1, measure.c2, /*range=*/1);
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
  expect(x.dim() == 3 && x.sizes() == y.sizes() && x.numel() > 0 && x.scalar_type() == at::kFloat &&
             y.scalar_type() == at::kFloat,
         FailureKind::kShape, "x and y must be float32 of one shape (N, H, W) with values, got ", x.sizes(), " and ",
         y.sizes());
  expect(!y.requires_grad(), FailureKind::kOther, "y must not require gradients");
  expect(kind >= kL1 && kind <= kSsim, FailureKind::kOther, "unknown distance ", kind);
  expect(taps.dim() == 1 && taps.scalar_type() == at::kFloat && taps.is_contiguous() && taps.size(0) > 0 &&
             taps.size(0) <= std::min(x.size(1), x.size(2)),
         FailureKind::kShape, "the window must be float32 and fit the images, got ", taps.sizes());
  const bool differentiated = at::GradMode::is_enabled() && x.requires_grad();
  return MapDistance::apply(x.contiguous(), y.contiguous(), Measure{kind, taps, c1, c2}, differentiated);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("map_distance(Tensor x, Tensor y, int kind, Tensor taps, float c1, float c2) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(mapDistance)));
  library.def("ssim(Tensor x, Tensor y, Tensor window, float c1, float c2, float range) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(ssim)));
}

}  // namespace batch_cam
