// Weights of float32 in their own order, (K, C, places), and as matrices whose rows hold the channels of one place
// after the other.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "ops/dtypes.h"

namespace batch_cam {

constexpr int64_t kWeightsAtOnce = 8;

// (K, C, ...) as a matrix (K, places x C) of T.
template <typename T>
at::Tensor placesFirst(const at::Tensor& weight, const at::TensorOptions& options) {
  const at::Tensor source = weight.contiguous();
  const int64_t outer = source.size(0), inner = source.size(1), places = source.numel() / (outer * inner);
  const at::Tensor matrix = at::empty({outer, places * inner}, options);
  at::parallel_for(0, outer, kWeightsAtOnce, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * inner * places;
    kernelsOf<T>().placesFirst(end - begin, {inner, places}, source.const_data_ptr<float>() + at,
                               dataOf<T>(matrix) + at);
  });
  return matrix;
}

// And back, to a shape (K, C, ...); an offset (K, C), if there is one, is added to every place.
template <typename T>
at::Tensor placesLast(const at::Tensor& matrix, at::IntArrayRef shape, const at::Tensor& offset = {}) {
  const at::Tensor source = matrix.contiguous(), weight = at::empty(shape, at::kFloat);
  const int64_t inner = shape[1], places = weight.numel() / (shape[0] * inner);
  at::parallel_for(0, shape[0], kWeightsAtOnce, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * inner * places;
    const float* added = offset.defined() ? dataOf<float>(offset) + begin * inner : nullptr;
    kernelsOf<T>().placesLast(end - begin, {inner, places}, dataOf<T>(source) + at, added, dataOf<float>(weight) + at);
  });
  return weight;
}

}  // namespace batch_cam
