// batch_cam::batch_norm_act(x, weight, bias, running_mean, running_var, add, relu, momentum, eps): batch norm in
// training with what follows it in a residual network, y = relu(norm(x) + add); the sum and the ReLU are optional. x
// and add are (N, C, H, W), float32 or bfloat16; the others (C) are float32. The running statistics are updated in
// place. The result is channels-last, in x's dtype. It can be differentiated to any order.
//
// Caller: src/nn/fused/conv-norm.ts, in bfloat16, and in float32 from 64 channels on: with fewer there is little time
// to save. batch_norm_passes.cc has the formulas, and says why this is not a composition.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include "ops/batch_norm_passes.h"
#include "ops/double_backward.h"
#include "ops/failure.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor meanOf(const Tensor& x) { return x.mean({0, 2, 3}, /*keepdim=*/true); }

// rstd and xhat = (x - mean) rstd as single operators. at::batch_norm cannot be used here: its second derivative treats
// mean and rstd as constants, so that third derivatives are wrong.
struct Normalised {
  Tensor rstd, value;

  Normalised(const Tensor& x, double eps) {
    const Tensor centred = x - meanOf(x);
    rstd = (meanOf(centred.square()) + eps).rsqrt();
    value = centred * rstd;
  }
};

// The same with libtorch's operators, for a double backward that includes the gradients with respect to weight and
// bias.
Tensor composed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& add, bool relu, double eps) {
  const Normalised normalised(x.to(at::kFloat), eps);
  const Tensor normed = (normalised.value * weight.view({-1, 1, 1}) + bias.view({-1, 1, 1})).to(x.scalar_type());
  const Tensor sum = add.defined() ? normed + add : normed;
  return relu ? at::relu(sum) : sum;
}

// A gradient in the dtype and memory layout that the kernels read.
Tensor asChannelsLast(const Tensor& gradient, const Tensor& like) {
  return gradient.to(like.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
}

// The backward pass of BatchNormAct by x and by add, as a function of dy, x and weight that has a derivative of its
// own. It is used if the gradients with respect to weight and bias are not needed, as for Grad-CAM's gradient with
// respect to an earlier stage.
struct BatchNormActGradient : torch::autograd::Function<BatchNormActGradient> {
  static variable_list forward(AutogradContext* context, const Tensor& dy, const Tensor& x, const Tensor& weight,
                               const std::optional<Tensor>& kept, const BatchNormStatistics& statistics, bool needsAdd,
                               double eps) {
    const Tensor y = kept.value_or(Tensor());
    context->save_for_backward({dy, x, weight, y, statistics.mean, statistics.rstd});
    context->saved_data["eps"] = eps;
    const BatchNormGradients of = batchNormBackward(dy, y, x, statistics, weight, needsAdd);
    if (!needsAdd) return {of.x};
    // A result that is the argument itself would be taken as unchanged by autograd, so that it is copied.
    return {of.x, of.add.is_same(dy) ? of.add.clone() : of.add};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &dy = saved[0], &x = saved[1], &weight = saved[2], &y = saved[3];
    const bool needsAdd = gradients.size() > 1 && gradients[1].defined();
    variable_list result(7);
    if (at::GradMode::is_enabled()) {
      const double eps = context->saved_data["eps"].toDouble();
      const variable_list of = gradientsWithGraph(
          context, {dy, x, weight}, at::ones({}, at::kFloat),
          [&](const variable_list& from) { return composedDoubleBackward(from, y, gradients, eps); });
      std::copy(of.begin(), of.end(), result.begin());
      return result;
    }
    const Tensor u = gradients[0].defined() ? asChannelsLast(gradients[0], x) : at::zeros_like(x);
    const Tensor v = needsAdd ? asChannelsLast(gradients[1], x) : Tensor();
    const BatchNormDoubleGradients of = batchNormDoubleBackward(u, v, dy, y, x, {saved[4], saved[5]}, weight);
    result[0] = of.dy;
    result[1] = of.x;
    result[2] = of.weight;
    return result;
  }

  // sum(u dx) + sum(v dz) with libtorch's operators, for the third derivative.
  static Tensor composedDoubleBackward(const variable_list& from, const Tensor& y, const variable_list& gradients,
                                       double eps) {
    const Tensor dy = from[0].to(at::kFloat), x = from[1].to(at::kFloat);
    const Tensor dz = y.defined() ? dy * y.gt(0) : dy;
    const Normalised normalised(x, eps);
    const Tensor dx = from[2].view({-1, 1, 1}) * normalised.rstd *
                      (dz - meanOf(dz) - normalised.value * meanOf(dz * normalised.value));
    Tensor sum = gradients[0].defined() ? (gradients[0] * dx).sum() : at::zeros({}, at::kFloat);
    if (gradients.size() > 1 && gradients[1].defined()) sum = sum + (gradients[1] * dz).sum();
    return sum;
  }
};

struct BatchNormAct : torch::autograd::Function<BatchNormAct> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const std::optional<Tensor>& added, const RunningStatistics& running, bool relu, double eps) {
    const Tensor add = added.value_or(Tensor());
    const BatchNormStatistics statistics = batchNormStatistics(x, running, eps);
    const Tensor y = batchNormForward(x, statistics, weight, bias, add, relu);
    context->save_for_backward({x, weight, bias, add, statistics.mean, statistics.rstd, relu ? y : Tensor()});
    context->saved_data["eps"] = eps;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &add = saved[3], &y = saved[6];
    const Tensor dy = asChannelsLast(gradients[0], x);
    const BatchNormStatistics statistics{saved[4], saved[5]};
    const bool needsAdd = add.defined() && context->needs_input_grad(3);
    const bool needsWeights = context->needs_input_grad(1) || context->needs_input_grad(2);
    if (at::GradMode::is_enabled() && !needsWeights) {
      const variable_list of =
          BatchNormActGradient::apply(dy, x, weight, y.defined() ? std::optional(y.detach()) : std::nullopt, statistics,
                                      needsAdd, context->saved_data["eps"].toDouble());
      return {of[0], Tensor(), Tensor(), needsAdd ? of[1] : Tensor(), Tensor(), Tensor(), Tensor()};
    }
    if (at::GradMode::is_enabled()) {
      const double eps = context->saved_data["eps"].toDouble();
      const bool relu = y.defined();
      variable_list result =
          gradientsWithGraph(context, {x, weight, bias, add}, gradients[0],
                             [&](const variable_list& of) { return composed(of[0], of[1], of[2], of[3], relu, eps); });
      result.resize(7);
      return result;
    }
    const BatchNormGradients of = batchNormBackward(dy, y, x, statistics, weight, needsAdd);
    return {of.x, of.weight, of.bias, of.add, Tensor(), Tensor(), Tensor()};
  }
};

Tensor batchNormAct(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& runningMean,
                    const Tensor& runningVariance, const std::optional<Tensor>& add, bool relu, double momentum,
                    double eps) {
  expect(x.dim() == 4 && x.numel() > x.size(1), FailureKind::kShape,
         "x must be (N, C, H, W) with more than one value per channel, got shape ", x.sizes());
  expect(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, FailureKind::kDtype, "dtype ",
         x.scalar_type(), " is not supported: x must be float32 or bfloat16");
  for (const Tensor& of : {weight, bias, runningMean, runningVariance})
    expect(of.sizes() == x.sizes().slice(1, 1) && of.scalar_type() == at::kFloat && of.is_contiguous(),
           FailureKind::kShape, "weights and running statistics must be contiguous float32 of shape [", x.size(1),
           "], got ", of.sizes());
  std::optional<Tensor> shortcut;
  if (add.has_value()) {
    expect(add->sizes() == x.sizes(), FailureKind::kShape, "add must have x's shape ", x.sizes(), ", got ",
           add->sizes());
    shortcut = add->to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
  }
  const RunningStatistics running{runningMean, runningVariance, momentum};
  return BatchNormAct::apply(x.contiguous(at::MemoryFormat::ChannelsLast), weight, bias, shortcut, running, relu, eps);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def(
      "batch_norm_act(Tensor x, Tensor weight, Tensor bias, Tensor running_mean, Tensor running_var, Tensor? add, bool "
      "relu, "
      "float momentum, float eps) -> Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(batchNormAct)));
}

}  // namespace batch_cam
