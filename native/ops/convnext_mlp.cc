// batch_cam::convnext_mlp(x, residual, the eight parameters of MlpParameter, norm_eps, grn_eps): layer norm, MLP with
// global response normalisation, and residual connection of a ConvNeXt-V2 block as one operator. x and residual are (N,
// H, W, C), float32 or bfloat16; the parameters are float32. convnext_mlp_forward.cc has the formula, and says why it
// exists.
//
// Caller: src/models/convnext-v2/convnext-block.ts, if hasProducts() holds for the dtype.
#include "ops/convnext_mlp.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <algorithm>

#include "ops/double_backward.h"
#include "ops/failure.h"
#include "ops/small_product.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The same with libtorch's operators, for the derivatives that have no kernel.
Tensor composed(const Tensor& x, const Tensor& residual, const MlpParameters& p, const MlpEps& eps) {
  const auto cast = [&](const Tensor& t) { return t.to(x.scalar_type()); };
  const Tensor normed =
      at::layer_norm(x, {x.size(3)}, cast(p[kNormWeight]), cast(p[kNormBias]), eps.norm, /*cudnn_enable=*/false);
  const Tensor g = at::gelu(at::linear(normed, cast(p[kFc1Weight]), cast(p[kFc1Bias]))).to(at::kFloat);
  const Tensor squared = g.square().sum({1, 2}, /*keepdim=*/true);
  const Tensor dead = squared.eq(0);
  const Tensor energy = squared.masked_fill(dead, 1).sqrt().masked_fill(dead, 0);
  const Tensor response = energy / (energy.mean({3}, /*keepdim=*/true) + eps.grn);
  const Tensor scaled = at::addcmul(p[kGrnBias], g, response * p[kGrnWeight] + 1);
  return residual + at::linear(cast(scaled), cast(p[kFc2Weight]), cast(p[kFc2Bias]));
}

// The parameters among saved or given tensors, from index `first` on.
MlpParameters parametersOf(const variable_list& from, int64_t first) {
  MlpParameters p;
  std::copy_n(from.begin() + first, kMlpParameters, p.begin());
  return p;
}

// The number of saved tensors that the forward pass keeps.
constexpr size_t kKept = 6;

void save(const MlpHidden& hidden, variable_list& to) {
  const MlpOperands& of = hidden.operands;
  to.insert(to.end(), {hidden.norms, hidden.layer, of.fc1, of.fc2, of.fc1Back, of.fc2Back});
}

MlpHidden keptOf(const variable_list& saved, size_t first) {
  const auto at = saved.begin() + static_cast<int64_t>(first);
  return {at[0], at[1], {at[2], at[3], at[4], at[5]}};
}

void saveEps(AutogradContext* context, const MlpEps& eps) {
  context->saved_data["normEps"] = eps.norm;
  context->saved_data["grnEps"] = eps.grn;
}

MlpEps savedEps(AutogradContext* context) {
  return {context->saved_data["normEps"].toDouble(), context->saved_data["grnEps"].toDouble()};
}

// From this number of channels on, the hidden layer is kept in memory for the other passes. To compute it again takes
// 2 C operations for each value, and to keep it one write and one read.
constexpr int64_t kKeptChannels = 64;

Tensor hiddenLike(const Tensor& x, const Tensor& fc1Weight) {
  return at::empty({x.size(0), x.size(1) * x.size(2), fc1Weight.size(0)}, x.options());
}

// Whether a gradient with respect to a parameter is wanted; the inputs from index `first` on are the parameters.
bool needsParameters(AutogradContext* context, size_t first) {
  for (size_t i = 0; i < kMlpParameters; ++i)
    if (context->needs_input_grad(first + i)) return true;
  return false;
}

// dx = the gradient with respect to x for the output gradient dout, which can be differentiated again.
struct MlpInputGradient : torch::autograd::Function<MlpInputGradient> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& dout, const Tensor& normWeight,
                        const Tensor& normBias, const Tensor& fc1Weight, const Tensor& fc1Bias, const Tensor& grnWeight,
                        const Tensor& grnBias, const Tensor& fc2Weight, const Tensor& fc2Bias, const MlpHidden& hidden,
                        double normEps, double grnEps) {
    const MlpParameters p{normWeight, normBias, fc1Weight, fc1Bias, grnWeight, grnBias, fc2Weight, fc2Bias};
    const MlpSlopes slopes{hiddenLike(x, fc1Weight), at::empty(x.sizes(), at::kFloat)};
    variable_list saved{x, dout, slopes.u, slopes.dnormed};
    save(hidden, saved);
    saved.insert(saved.end(), p.begin(), p.end());
    context->save_for_backward(saved);
    saveEps(context, {normEps, grnEps});
    return mlpBackward(x, hidden, dout, p, {normEps, grnEps}, /*ofParameters=*/false, slopes)[0];
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const MlpParameters p = parametersOf(saved, 4 + kKept);
    const MlpEps eps = savedEps(context);
    variable_list result;
    if (at::GradMode::is_enabled()) {
      variable_list inputs{saved[0], saved[1]};
      inputs.insert(inputs.end(), p.begin(), p.end());
      result = gradientsWithGraph(context, inputs, gradients[0], [&](const variable_list& of) {
        // The gradient is linear in dout, so that it depends on x even if x needs no gradient here.
        const Tensor x = of[0].requires_grad() ? of[0] : of[0].detach().requires_grad_();
        const Tensor out = composed(x, at::zeros_like(x), parametersOf(of, 2), eps);
        return torch::autograd::grad({out}, {x}, {of[1]}, /*retain_graph=*/true, /*create_graph=*/true)[0];
      });
    } else {
      const Tensor z = gradients[0].to(saved[0].scalar_type()).contiguous();
      result =
          mlpSecond(saved[0], keptOf(saved, 4), {saved[2], saved[3]}, saved[1], z, p, eps, needsParameters(context, 2));
    }
    result.resize(result.size() + 3);  // the last three arguments have no gradient
    return result;
  }
};

struct ConvNextMlp : torch::autograd::Function<ConvNextMlp> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& residual, const Tensor& normWeight,
                        const Tensor& normBias, const Tensor& fc1Weight, const Tensor& fc1Bias, const Tensor& grnWeight,
                        const Tensor& grnBias, const Tensor& fc2Weight, const Tensor& fc2Bias, double normEps,
                        double grnEps, bool differentiated) {
    const MlpParameters p{normWeight, normBias, fc1Weight, fc1Bias, grnWeight, grnBias, fc2Weight, fc2Bias};
    const MlpEps eps{normEps, grnEps};
    const MlpHidden hidden{at::empty({x.size(0), fc1Weight.size(0)}, at::kFloat),
                           differentiated && x.size(3) >= kKeptChannels ? hiddenLike(x, fc1Weight) : Tensor(),
                           mlpOperands(x.scalar_type(), p, differentiated)};
    const Tensor out = mlpForward(x, residual, p, eps, hidden);
    variable_list saved{x, residual};
    save(hidden, saved);
    saved.insert(saved.end(), p.begin(), p.end());
    context->save_for_backward(saved);
    saveEps(context, eps);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const Tensor& residual = saved[1];
    const MlpParameters p = parametersOf(saved, 2 + kKept);
    const MlpHidden hidden = keptOf(saved, 2);
    const MlpEps eps = savedEps(context);
    const bool ofParameters = needsParameters(context, 2);
    const Tensor dout = gradients[0].to(x.scalar_type()).contiguous();
    if (at::GradMode::is_enabled() && ofParameters) {
      variable_list inputs{x, residual};
      inputs.insert(inputs.end(), p.begin(), p.end());
      variable_list result = gradientsWithGraph(context, inputs, gradients[0], [&](const variable_list& of) {
        return composed(of[0], of[1], parametersOf(of, 2), eps);
      });
      result.resize(result.size() + 3);  // the last three arguments have no gradient
      return result;
    }
    variable_list result;
    if (at::GradMode::is_enabled()) {
      result = {MlpInputGradient::apply(x, dout, p[kNormWeight], p[kNormBias], p[kFc1Weight], p[kFc1Bias],
                                        p[kGrnWeight], p[kGrnBias], p[kFc2Weight], p[kFc2Bias], hidden, eps.norm,
                                        eps.grn)};
      result.resize(1 + kMlpParameters);
    } else {
      result = mlpBackward(x, hidden, dout, p, eps, ofParameters);
    }
    result.insert(result.begin() + 1, dout);
    result.resize(result.size() + 3);  // the last three arguments have no gradient
    return result;
  }
};

void expectMlp(const Tensor& x, const Tensor& residual, const Tensor& fc1, const Tensor& fc2) {
  expect(x.dim() == 4 && x.sizes() == residual.sizes(), FailureKind::kShape,
         "x and residual must be of one shape (N, H, W, C), got ", x.sizes(), " and ", residual.sizes());
  expect(x.scalar_type() == residual.scalar_type() && hasProducts(x.scalar_type()), FailureKind::kDtype, "dtype ",
         x.scalar_type(), " has no small matrix products with this processor and libtorch");
  expect(x.scalar_type() == at::kFloat || x.size(3) % 2 == 0, FailureKind::kShape,
         "x must have an even number of channels in bfloat16, got ", x.size(3));
  expect(fc1.dim() == 2 && fc2.dim() == 2 && fc1.size(1) == x.size(3) && fc2.size(1) == fc1.size(0) &&
             fc2.size(0) == x.size(3),
         FailureKind::kShape, "weights of shape ", fc1.sizes(), " and ", fc2.sizes(), " do not fit x of shape ",
         x.sizes());
}

Tensor convnextMlp(const Tensor& x, const Tensor& residual, const Tensor& normWeight, const Tensor& normBias,
                   const Tensor& fc1Weight, const Tensor& fc1Bias, const Tensor& grnWeight, const Tensor& grnBias,
                   const Tensor& fc2Weight, const Tensor& fc2Bias, double normEps, double grnEps) {
  expectMlp(x, residual, fc1Weight, fc2Weight);
  const std::initializer_list<Tensor> inputs{x,       residual,  normWeight, normBias,  fc1Weight,
                                             fc1Bias, grnWeight, grnBias,    fc2Weight, fc2Bias};
  const auto wanted = [](const Tensor& t) { return t.requires_grad(); };
  const bool differentiated = at::GradMode::is_enabled() && std::any_of(inputs.begin(), inputs.end(), wanted);
  return ConvNextMlp::apply(x.contiguous(), residual.contiguous(), normWeight, normBias, fc1Weight, fc1Bias, grnWeight,
                            grnBias, fc2Weight, fc2Bias, normEps, grnEps, differentiated);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def(
      "convnext_mlp(Tensor x, Tensor residual, Tensor norm_weight, Tensor norm_bias, Tensor fc1_weight, Tensor "
      "fc1_bias, "
      "Tensor grn_weight, Tensor grn_bias, Tensor fc2_weight, Tensor fc2_bias, float norm_eps, float grn_eps) -> "
      "Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(convnextMlp)));
}

}  // namespace batch_cam
