// batch_cam::convolution(x, weight, stride, padding): y[k, h, w] = sum over c, r, s of
// x[c, h stride + r - padding, w stride + s - padding] weight[k, c, r, s], for x (N, C, H, W) in float32 or bfloat16
// and a float32 weight (K, C, k, k). The result is channels-last, in x's dtype. It can be differentiated to any order.
//
// batch_cam::winograd_conv(x, weight, bias, add, padding, relu) = relu(convolution + bias + add) without a gradient,
// for the shapes and dtypes that supportsWinograd accepts. add is of x's dtype; weight and bias are float32.
//
// Caller: src/nn/fused/conv-norm.ts. The operator exists because each of its
// three passes uses the kernel that is fastest for its shape (convolution_passes.cc). With oneDNN's kernels alone,
// weight gradients of small maps take up to six times as long.
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "ops/convolution.h"
#include "ops/failure.h"
#include "ops/winograd.h"

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor channelsLast(const Tensor& gradient, const Tensor& like) {
  return gradient.to(like.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
}

// A convolution is bilinear, and so are its two gradients. The derivatives of each of the three passes are again such
// passes, so that these three functions give derivatives of any order. `operand` is the weight in the layout that the
// forward pass and the gradient with respect to the input read (operandOf).
struct Convolution : torch::autograd::Function<Convolution> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& operand,
                        const Geometry& g);
  static variable_list backward(AutogradContext* context, const variable_list& gradients);
};

struct InputGradient : torch::autograd::Function<InputGradient> {
  static Tensor forward(AutogradContext* context, const Tensor& dy, const Tensor& weight, const Tensor& operand,
                        const Tensor& x, const Geometry& g);
  static variable_list backward(AutogradContext* context, const variable_list& gradients);
};

struct WeightGradient : torch::autograd::Function<WeightGradient> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& dy, const Tensor& weight,
                        const Geometry& g);
  static variable_list backward(AutogradContext* context, const variable_list& gradients);
};

void saveGeometry(AutogradContext* context, const Geometry& g) {
  context->saved_data["stride"] = g.stride;
  context->saved_data["padding"] = g.padding;
}

Geometry savedGeometry(AutogradContext* context, const Tensor& x, const Tensor& weight) {
  return geometryOf(x, weight, context->saved_data["stride"].toInt(), context->saved_data["padding"].toInt());
}

Tensor Convolution::forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& operand,
                            const Geometry& g) {
  context->save_for_backward({x, weight, operand});
  saveGeometry(context, g);
  return forwardPass(x, operand, Tensor(), g);
}

variable_list Convolution::backward(AutogradContext* context, const variable_list& gradients) {
  const variable_list saved = context->get_saved_variables();
  const Tensor &x = saved[0], &weight = saved[1], &operand = saved[2];
  const Geometry g = savedGeometry(context, x, weight);
  const Tensor dy = channelsLast(gradients[0], x);
  Tensor dx, dweight;
  if (context->needs_input_grad(0)) dx = InputGradient::apply(dy, weight, operand, x.detach(), g);
  if (context->needs_input_grad(1)) dweight = WeightGradient::apply(x, dy, weight.detach(), g);
  return {dx, dweight, Tensor(), Tensor()};
}

Tensor InputGradient::forward(AutogradContext* context, const Tensor& dy, const Tensor& weight, const Tensor& operand,
                              const Tensor& x, const Geometry& g) {
  context->save_for_backward({dy, weight, operand, x});
  saveGeometry(context, g);
  return inputPass(x, operand, dy, g);
}

variable_list InputGradient::backward(AutogradContext* context, const variable_list& gradients) {
  const variable_list saved = context->get_saved_variables();
  const Tensor &dy = saved[0], &weight = saved[1], &operand = saved[2], &x = saved[3];
  const Geometry g = savedGeometry(context, x, weight);
  const Tensor direction = channelsLast(gradients[0], x);
  Tensor ddy, dweight;
  if (context->needs_input_grad(0)) ddy = Convolution::apply(direction, weight, operand, g);
  if (context->needs_input_grad(1)) dweight = WeightGradient::apply(direction, dy, weight.detach(), g);
  return {ddy, dweight, Tensor(), Tensor(), Tensor()};
}

Tensor WeightGradient::forward(AutogradContext* context, const Tensor& x, const Tensor& dy, const Tensor& weight,
                               const Geometry& g) {
  context->save_for_backward({x, dy});
  saveGeometry(context, g);
  return weightPass(x, weight, dy, g);
}

variable_list WeightGradient::backward(AutogradContext* context, const variable_list& gradients) {
  const variable_list saved = context->get_saved_variables();
  const Tensor &x = saved[0], &dy = saved[1], &direction = gradients[0];
  const Geometry g = savedGeometry(context, x, direction);
  const Tensor operand = operandOf(direction.detach(), x, g);
  Tensor dx, ddy;
  if (context->needs_input_grad(0)) dx = InputGradient::apply(dy, direction, operand, x.detach(), g);
  if (context->needs_input_grad(1)) ddy = Convolution::apply(x, direction, operand, g);
  return {dx, ddy, Tensor(), Tensor()};
}

Tensor winogradConv(const Tensor& x, const Tensor& weight, const Tensor& bias, const std::optional<Tensor>& add,
                    int64_t padding, bool relu) {
  checkConvolution(x, weight, /*stride=*/1, padding);
  const Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Geometry g = geometryOf(input, weight, 1, padding);
  expect(supportsWinograd(g, input.scalar_type()), FailureKind::kShape, "weight of shape ", weight.sizes(),
         " is not supported by the Winograd kernels for x of shape ", x.sizes());
  expect(bias.scalar_type() == at::kFloat && bias.is_contiguous() && bias.sizes() == at::IntArrayRef({g.outer}),
         FailureKind::kShape, "bias must be float32 of shape [", g.outer, "], got ", bias.sizes());
  ConvPostOps postOps{bias, Tensor(), relu};
  if (add.has_value()) {
    expect(add->scalar_type() == input.scalar_type() &&
               add->sizes() == at::IntArrayRef({g.images, g.outer, g.outHeight, g.outWidth}),
           FailureKind::kShape, "add must have the output's shape and x's dtype, got ", add->sizes(), " of ",
           add->scalar_type());
    postOps.add = add->contiguous(at::MemoryFormat::ChannelsLast);
  }
  return winogradForward(input, weight.contiguous(), g, postOps);
}

}  // namespace

Tensor convolution(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  checkConvolution(x, weight, stride, padding);
  const Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Geometry g = geometryOf(input, weight, stride, padding);
  return Convolution::apply(input, weight, operandOf(weight.detach(), input, g), g);
}

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("winograd_conv(Tensor x, Tensor weight, Tensor bias, Tensor? add, int padding, bool relu) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(winogradConv)));
  library.def("convolution(Tensor x, Tensor weight, int stride, int padding) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(convolution)));
}

}  // namespace batch_cam
