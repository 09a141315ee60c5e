// Arguments of convolutions and pooling with which libtorch crashes.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <vector>

namespace batch_cam {

// The positions of the arguments of a convolution or of maximum pooling. Those that it does not have are nullopt.
struct WindowArguments {
  std::optional<size_t> input, weight, stride, padding, dilation, transposed;
  bool isTransposed;
  size_t poolDimensions;  // 0 for a convolution
};

// Nullopt for other operators.
std::optional<WindowArguments> windowArguments(const c10::FunctionSchema& schema);

// Replaces a stride that is larger than the padded input by a small one with the same result: the output has one
// position, whatever the stride is. In the backward pass, oneDNN takes time in proportion to the product of the
// strides. Throws Failure if a stride is still so large, or a padding is so large, that oneDNN may crash, or if all
// positions of a window of maximum pooling can be outside the input: libtorch then writes outside of the gradient.
void limitWindows(std::vector<c10::IValue>& stack, const WindowArguments& arguments);

}  // namespace batch_cam
