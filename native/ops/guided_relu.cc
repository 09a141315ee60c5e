// batch_cam::guided_relu: max(x, 0) with the gradient of guided backpropagation (Springenberg et al., arXiv 1412.6806):
// dx = max(dy, 0) where x > 0, else 0. The gradient is not linear in dy, so that no composition of libtorch's operators
// has it. Called by every ReLU while src/tensor/rectifier.ts computes guided backpropagation. Any shape, any floating
// dtype.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace batch_cam {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct GuidedRelu : torch::autograd::Function<GuidedRelu> {
  static Tensor forward(AutogradContext* context, const Tensor& x) {
    context->save_for_backward({x});
    return x.clamp_min(0);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Tensor x = context->get_saved_variables()[0];
    return {gradients[0].clamp_min(0) * (x > 0)};
  }
};

Tensor guidedRelu(const Tensor& x) { return GuidedRelu::apply(x); }

}  // namespace

TORCH_LIBRARY_FRAGMENT(batch_cam, library) {
  library.def("guided_relu(Tensor x) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(guidedRelu)));
}

}  // namespace batch_cam
