// batch_cam::flat_linear(maps, weight, bias) -> (y, pooled): a linear layer over flattened maps,
//
//   y = flatten(maps) weightᵀ + bias and pooled[j, k] = mean over positions p of weight[j, k p],
//
// for maps (N, K, h, w), float32 or bfloat16, in channels-last memory, and a float32 weight (J, K h w) and bias (J).
// y is (N, J) in the maps' dtype, pooled is (J, K) in float32.
//
// Called by src/nn/fused/flat-linear.ts. The weight is permuted to the maps' memory order while it is cast, so that
// neither the maps nor their gradient are copied. `pooled` is what Grad-CAM's channel weights are computed from in
// closed form; with both results in one operator, the two gradients of the weight are added in one pass.
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <tuple>

#include "ops/double_backward.h"
#include "ops/dtypes.h"
#include "ops/failure.h"
#include "ops/positions.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Channels-last maps as a matrix (N, h w K), without a copy.
Tensor rowsOf(const Tensor& maps) { return maps.permute({0, 2, 3, 1}).reshape({maps.size(0), -1}); }

// The weight (J, K h w) as (J, K, h w).
Tensor byChannels(const Tensor& weight, const Tensor& maps) {
  return weight.view({weight.size(0), maps.size(1), maps.size(2) * maps.size(3)});
}

// The same with libtorch's operators, for the double backward: y and pooled, flattened into one vector.
Tensor composed(const Tensor& maps, const Tensor& weight, const Tensor& bias) {
  const auto dtype = maps.scalar_type();
  const Tensor y = at::linear(maps.flatten(1), weight.to(dtype), bias.to(dtype));
  return at::cat({y.to(at::kFloat).flatten(), byChannels(weight, maps).mean(2).flatten()});
}

struct FlatLinear : torch::autograd::Function<FlatLinear> {
  static variable_list forward(AutogradContext* context, const Tensor& maps, const Tensor& weight, const Tensor& bias) {
    const Tensor planes = byChannels(weight, maps);
    const Tensor matrix =
        dispatchDtype(maps, [&](auto value) { return positionsFirst<decltype(value)>(planes, maps.options()); });
    const Tensor y = at::addmm(bias.to(maps.scalar_type()), rowsOf(maps), matrix.t());
    context->save_for_backward({maps, weight, bias, matrix});
    context->set_materialize_grads(false);
    return {y, planes.mean(2)};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &maps = saved[0], &weight = saved[1], &bias = saved[2], &matrix = saved[3];
    const Tensor dy = gradients[0].defined() ? gradients[0].to(maps.scalar_type())
                                             : at::zeros({maps.size(0), weight.size(0)}, maps.options());
    const Tensor& dpooled = gradients[1];
    if (at::GradMode::is_enabled()) {
      const Tensor means = dpooled.defined() ? dpooled : at::zeros({weight.size(0), maps.size(1)}, weight.options());
      return gradientsWithGraph(context, {maps, weight, bias},
                                at::cat({dy.to(at::kFloat).flatten(), means.to(at::kFloat).flatten()}),
                                [&](const variable_list& of) { return composed(of[0], of[1], of[2]); });
    }
    Tensor dmaps, dweight, dbias;
    if (context->needs_input_grad(0))
      dmaps = dy.mm(matrix).view({maps.size(0), maps.size(2), maps.size(3), maps.size(1)}).permute({0, 3, 1, 2});
    if (context->needs_input_grad(1)) {
      const Tensor product = dy.t().mm(rowsOf(maps)), planes = byChannels(weight, maps);
      const Tensor offset =
          dpooled.defined() ? (dpooled.to(at::kFloat) / static_cast<double>(planes.size(2))).contiguous() : Tensor();
      dweight = dispatchDtype(maps, [&](auto value) {
                  return positionsLast<decltype(value)>(product, planes.sizes(), offset);
                }).view(weight.sizes());
    }
    if (context->needs_input_grad(2)) dbias = dy.sum(0, /*keepdim=*/false, at::kFloat);
    return {dmaps, dweight, dbias};
  }
};

std::tuple<Tensor, Tensor> flatLinear(const Tensor& maps, const Tensor& weight, const Tensor& bias) {
  expect(maps.dim() == 4 && maps.numel() > 0 && weight.dim() == 2 && weight.numel() > 0 &&
             weight.size(1) == maps.numel() / maps.size(0),
         FailureKind::kShape, "weight must have the shape (J, K h w) for maps of shape (N, K, h, w) with values, got ",
         weight.sizes(), " for ", maps.sizes());
  expect(maps.scalar_type() == at::kFloat || maps.scalar_type() == at::kBFloat16, FailureKind::kDtype, "dtype ",
         maps.scalar_type(), " is not supported: maps must be float32 or bfloat16");
  expect(weight.scalar_type() == at::kFloat && bias.scalar_type() == at::kFloat &&
             bias.sizes() == weight.sizes().slice(0, 1),
         FailureKind::kShape, "weight and bias must be float32 of shapes (J, K h w) and (J), got ", weight.sizes(),
         " and ", bias.sizes());
  const variable_list made =
      FlatLinear::apply(maps.contiguous(at::MemoryFormat::ChannelsLast), weight.contiguous(), bias);
  return {made[0], made[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("flat_linear(Tensor maps, Tensor weight, Tensor bias) -> (Tensor, Tensor)",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(flatLinear)));
}

}  // namespace batch_cam
