// Double backward for operators whose kernels have only a first derivative: if the backward pass is recorded
// (create_graph), they recompute their result with libtorch's operators and differentiate that.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/alias.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

namespace batch_cam {

// The gradients with respect to `inputs` of compute(inputs), for the output gradient `gradient`, with a graph for the
// next derivative. There is one result for each input; it is undefined if the context does not need it. `compute`
// receives aliases of the inputs: if one input was computed from another one, differentiating by the inputs themselves
// would count that path twice.
template <typename Compute>
torch::autograd::variable_list gradientsWithGraph(torch::autograd::AutogradContext* context,
                                                  const torch::autograd::variable_list& inputs,
                                                  const at::Tensor& gradient, Compute compute) {
  torch::autograd::variable_list aliases, wanted;
  std::vector<size_t> indices;
  for (size_t i = 0; i < inputs.size(); ++i) {
    aliases.push_back(inputs[i].defined() ? at::alias(inputs[i]) : at::Tensor());
    if (!inputs[i].defined() || !context->needs_input_grad(i)) continue;
    wanted.push_back(aliases.back());
    indices.push_back(i);
  }
  const at::Tensor output = compute(aliases);
  const auto found = torch::autograd::grad({output}, wanted, {gradient}, /*retain_graph=*/true, /*create_graph=*/true,
                                           /*allow_unused=*/true);
  torch::autograd::variable_list result(inputs.size());
  for (size_t i = 0; i < found.size(); ++i) result[indices[i]] = found[i];
  return result;
}

}  // namespace batch_cam
