// Conversion between the layout of a convolution's weight, (K, C, k, k), and the matrix of its products, (K, k k C): in
// a row of the matrix the channels of the kernel's first position come first, then those of the second, and so on. This
// is the order of a channels-last image's patches. The weight is float32; the matrix is float32 or bfloat16, so that
// the cast of mixed precision happens in the same pass. Callers: ops/convolution_passes.cc, ops/flat_linear.cc.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "ops/dtypes.h"

namespace batch_cam {

constexpr int64_t kRowsPerTask = 8;

// A weight (K, C, ...) as a matrix (K, positions C) of T.
template <typename T>
at::Tensor positionsFirst(const at::Tensor& weight, const at::TensorOptions& options) {
  const at::Tensor source = weight.contiguous();
  const int64_t outer = source.size(0), inner = source.size(1), positions = source.numel() / (outer * inner);
  const at::Tensor matrix = at::empty({outer, positions * inner}, options);
  at::parallel_for(0, outer, kRowsPerTask, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * inner * positions;
    kernelsOf<T>().positionsFirst(end - begin, {inner, positions}, source.const_data_ptr<float>() + at,
                                  dataOf<T>(matrix) + at);
  });
  return matrix;
}

// A matrix (K, positions C) of T as float32 of the shape (K, C, ...). An offset (K, C), if given, is added to each
// position.
template <typename T>
at::Tensor positionsLast(const at::Tensor& matrix, at::IntArrayRef shape, const at::Tensor& offset = {}) {
  const at::Tensor source = matrix.contiguous(), weight = at::empty(shape, at::kFloat);
  const int64_t inner = shape[1], positions = weight.numel() / (shape[0] * inner);
  at::parallel_for(0, shape[0], kRowsPerTask, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * inner * positions;
    const float* added = offset.defined() ? dataOf<float>(offset) + begin * inner : nullptr;
    kernelsOf<T>().positionsLast(end - begin, {inner, positions}, dataOf<T>(source) + at, added,
                                 dataOf<float>(weight) + at);
  });
  return weight;
}

}  // namespace batch_cam
