// Tensors of float32 and bfloat16 as the kernels see them.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/table.h"

namespace batch_cam {

template <typename T>
T* dataOf(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

// function(value of the kernels' type): float, or BFloat16.
template <typename Function>
auto inDtype(const at::Tensor& x, Function function) {
  return x.scalar_type() == at::kBFloat16 ? function(BFloat16{}) : function(0.0f);
}

// x (rows, channels) as (channels, stride), a left operand of products, with a zero where pairs of rows run past an odd
// end.
template <typename T>
void transposed(Extent extent, const T* x, int64_t stride, T* out) {
  kernelsOf<T>().transpose(extent, x, stride, out);
  if (extent.rows < stride && extent.rows % 2 == 1)
    for (int64_t c = 0; c < extent.channels; ++c) out[c * stride + extent.rows] = T{};
}

}  // namespace batch_cam
