// Access to the data of float32 and bfloat16 tensors with the types of the kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/table.h"

namespace batch_cam {

// The first element of a tensor whose dtype is T's; null for an undefined tensor.
template <typename T>
T* dataOf(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

// Calls function(T{}), where T is BFloat16 for a bfloat16 tensor and float otherwise: the function's template argument.
template <typename Function>
auto dispatchDtype(const at::Tensor& x, Function function) {
  return x.scalar_type() == at::kBFloat16 ? function(BFloat16{}) : function(0.0f);
}

// Transposes x (rows, channels) to (channels, stride), a left operand of products. If the number of rows is odd and the
// stride is larger, one column of zeros follows: products of bfloat16 read rows in pairs.
template <typename T>
void transposeForProduct(Extent extent, const T* x, int64_t stride, T* out) {
  kernelsOf<T>().transpose(extent, x, stride, out);
  if (extent.rows < stride && extent.rows % 2 == 1)
    for (int64_t c = 0; c < extent.channels; ++c) out[c * stride + extent.rows] = T{};
}

}  // namespace batch_cam
