// Gradients that can be differentiated again, for kernels that have only a first derivative of their own.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/alias.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

namespace batch_cam {

// The gradient of what `compute` makes of `inputs` by libtorch's operators, with a graph: undefined where the context
// needs none. As many results as inputs. It computes from aliases, for an input may itself have been made from another
// one.
template <typename Compute>
torch::autograd::variable_list gradientsWithGraph(torch::autograd::AutogradContext* context,
                                                  const torch::autograd::variable_list& inputs,
                                                  const at::Tensor& gradient, Compute compute) {
  torch::autograd::variable_list aliases, wanted;
  std::vector<size_t> places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    aliases.push_back(inputs[i].defined() ? at::alias(inputs[i]) : at::Tensor());
    if (!inputs[i].defined() || !context->needs_input_grad(i)) continue;
    wanted.push_back(aliases.back());
    places.push_back(i);
  }
  const at::Tensor output = compute(aliases);
  const auto found = torch::autograd::grad({output}, wanted, {gradient}, /*retain_graph=*/true, /*create_graph=*/true,
                                           /*allow_unused=*/true);
  torch::autograd::variable_list result(inputs.size());
  for (size_t i = 0; i < found.size(); ++i) result[places[i]] = found[i];
  return result;
}

}  // namespace batch_cam
