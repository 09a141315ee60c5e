// batch_cam::layer_norm(x, weight, bias, eps): (x - mean) / sqrt(variance + eps) weight + bias over the last dimension
// of x, float32 or bfloat16, with float32 weight and bias; the result has x's dtype. It can be differentiated to any
// order.
//
// Caller: LayerNorm2d (src/nn/layers/norm.ts), for the norms between the stages of ConvNeXt-V2. libtorch's operator
// computes in float32 under autocast, so that maps are copied before and after it, and its gradient for few channels
// takes three times as long as this one.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/table.h"
#include "memory/aligned_buffer.h"
#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/failure.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The number of rows that a thread takes at a time.
constexpr int64_t kRows = 256;

Extent extentOf(const Tensor& x) { return {x.numel() / x.size(-1), x.size(-1)}; }

// Calls body(rows, offset, sums) for each group of rows: `offset` counts elements, and `sums` (2, channels) are the
// gradients with respect to the weight and the bias that the thread adds up. Returns the total.
template <typename Body>
Tensor overRows(Extent extent, Body body) {
  std::vector<std::unique_ptr<Buffer<float>>> perThread(at::get_num_threads());
  at::parallel_for(0, (extent.rows + kRows - 1) / kRows, 1, [&](int64_t begin, int64_t end) {
    auto& sums = perThread[at::get_thread_num()];
    if (!sums) sums = std::make_unique<Buffer<float>>(2 * extent.channels);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * kRows, rows = std::min(kRows, extent.rows - first);
      body(Extent{rows, extent.channels}, first, sums->data());
    }
  });
  const Tensor total = at::zeros({2, extent.channels}, at::kFloat);
  for (const auto& sums : perThread)
    if (sums)
      for (int64_t i = 0; i < 2 * extent.channels; ++i) dataOf<float>(total)[i] += (*sums)[i];
  return total;
}

// The mean and 1 / sqrt(variance + eps) of each row: (2, rows).
struct Statistics {
  explicit Statistics(const Tensor& made) : mean(dataOf<float>(made)), rstd(mean + made.size(1)) {}
  float* const mean;
  float* const rstd;
};

template <typename T>
Tensor normalised(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& statistics) {
  const Tensor out = at::empty_like(x);
  const Statistics of(statistics);
  const LayerNormWeights norm{dataOf<float>(weight), dataOf<float>(bias), static_cast<float>(eps)};
  const Extent extent = extentOf(x);
  at::parallel_for(0, extent.rows, kRows, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * extent.channels;
    kernelsOf<T>().layerNorm({end - begin, extent.channels}, dataOf<T>(x) + at, norm, dataOf<T>(out) + at,
                             of.mean + begin, of.rstd + begin);
  });
  return out;
}

struct Gradients {
  Tensor x, weight, bias;
};

template <typename T>
Gradients gradientsOf(const Tensor& x, const Tensor& dy, const Tensor& weight, const Tensor& statistics) {
  const Tensor dx = at::empty_like(x);
  const Statistics of(statistics);
  const Tensor sums = overRows(extentOf(x), [&](Extent part, int64_t first, float* own) {
    const int64_t at = first * part.channels;
    kernelsOf<T>().layerNormBackwardOf(part, dataOf<T>(x) + at, dataOf<T>(dy) + at, of.mean + first, of.rstd + first,
                                       dataOf<float>(weight), dataOf<T>(dx) + at, own, own + part.channels);
  });
  return {dx, sums[0], sums[1]};
}

// The gradients of <z, dx>, where dx is the gradient with respect to x, with respect to x, dy and the weight.
template <typename T>
variable_list secondOf(const Tensor& x, const Tensor& dy, const Tensor& z, const Tensor& weight,
                       const Tensor& statistics) {
  const Tensor dx = at::empty_like(x), ddy = at::empty_like(x);
  const Statistics of(statistics);
  const Tensor sums = overRows(extentOf(x), [&](Extent part, int64_t first, float* own) {
    const int64_t at = first * part.channels, count = part.rows * part.channels;
    const float *mean = of.mean + first, *rstd = of.rstd + first, *scale = dataOf<float>(weight);
    Buffer<float> gradient(count), none(count);
    kernelsOf<T>().widen(count, dataOf<T>(dy) + at, gradient.data());
    kernelsOf<T>().layerNormTangent(part, dataOf<T>(x) + at, dataOf<T>(z) + at, mean, rstd, scale, dataOf<T>(ddy) + at);
    kernelsOf<T>().layerNormSecond(
        part, {dataOf<T>(x) + at, dataOf<T>(z) + at, mean, rstd, scale, gradient.data(), none.data()},
        dataOf<T>(dx) + at, own, own + part.channels);
  });
  return {dx, ddy, sums[0]};
}

// dx for dy, which can be differentiated again.
struct LayerNormInput : torch::autograd::Function<LayerNormInput> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& dy, const Tensor& weight,
                        const Tensor& statistics, double eps) {
    context->save_for_backward({x, dy, weight, statistics});
    context->saved_data["eps"] = eps;
    return dispatchDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(x, dy, weight, statistics); }).x;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &dy = saved[1], &weight = saved[2], &statistics = saved[3];
    variable_list result;
    if (at::GradMode::is_enabled()) {
      const double eps = context->saved_data["eps"].toDouble();
      result = gradientsWithGraph(context, {x, dy, weight}, gradients[0], [&](const variable_list& of) {
        const Tensor input = of[0].requires_grad() ? of[0] : of[0].detach().requires_grad_();
        const Tensor cast = of[2].to(input.scalar_type());
        const Tensor out = at::layer_norm(input, {input.size(-1)}, cast, {}, eps, /*cudnn_enable=*/false);
        return torch::autograd::grad({out}, {input}, {of[1]}, /*retain_graph=*/true, /*create_graph=*/true)[0];
      });
    } else {
      const Tensor z = gradients[0].to(x.scalar_type()).contiguous();
      result = dispatchDtype(x, [&](auto value) { return secondOf<decltype(value)>(x, dy, z, weight, statistics); });
    }
    result.resize(5);  // the statistics and eps have no gradient
    return result;
  }
};

struct LayerNorm : torch::autograd::Function<LayerNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        double eps) {
    const Tensor statistics = at::empty({2, extentOf(x).rows}, at::kFloat);
    context->save_for_backward({x, weight, bias, statistics});
    context->saved_data["eps"] = eps;
    return dispatchDtype(x, [&](auto value) { return normalised<decltype(value)>(x, weight, bias, eps, statistics); });
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &statistics = saved[3];
    const double eps = context->saved_data["eps"].toDouble();
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous();
    const bool ofWeights = context->needs_input_grad(1) || context->needs_input_grad(2);
    if (at::GradMode::is_enabled() && ofWeights) {
      variable_list result = gradientsWithGraph(context, {x, weight, bias}, dy, [&](const variable_list& of) {
        const auto dtype = x.scalar_type();
        return at::layer_norm(of[0], {x.size(-1)}, of[1].to(dtype), of[2].to(dtype), eps, /*cudnn_enable=*/false);
      });
      result.resize(4);
      return result;
    }
    if (at::GradMode::is_enabled())
      return {LayerNormInput::apply(x, dy, weight, statistics, eps), Tensor(), Tensor(), Tensor()};
    const Gradients of =
        dispatchDtype(x, [&](auto value) { return gradientsOf<decltype(value)>(x, dy, weight, statistics); });
    return {of.x, of.weight, of.bias, Tensor()};
  }
};

Tensor layerNormOf(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  expect(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, FailureKind::kDtype, "dtype ",
         x.scalar_type(), " is not supported: x must be float32 or bfloat16");
  expect(
      x.dim() > 0 && x.numel() > 0 && weight.sizes() == x.sizes().slice(x.dim() - 1) && bias.sizes() == weight.sizes(),
      FailureKind::kShape, "weight and bias must have the shape of x's last dimension, got ", weight.sizes(), " and ",
      bias.sizes(), " for x of shape ", x.sizes());
  expect(weight.scalar_type() == at::kFloat && bias.scalar_type() == at::kFloat, FailureKind::kDtype,
         "weight and bias must be float32, got ", weight.scalar_type(), " and ", bias.scalar_type());
  return LayerNorm::apply(x.contiguous(), weight.contiguous(), bias.contiguous(), eps);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("layer_norm(Tensor x, Tensor weight, Tensor bias, float eps) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(layerNormOf)));
}

}  // namespace batch_cam
