// Convolution by 3x3 with stride 1 in float32, each of its passes as products of values at points: see
// kernels/winograd.h.
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/convolution.h"

namespace batch_cam {

// Whether its shape is one for which this is faster.
bool hasWinograd(const Geometry& geometry);

// What comes after a convolution: bias (K) and add, of the result's shape with its channels last, may be undefined.
struct Epilogue {
  at::Tensor bias, add;
  bool relu = false;
};

// The three passes; x (N, C, H, W) and dy have their channels last, weight (K, C, 3, 3) is contiguous.
at::Tensor winogradForward(const at::Tensor& x, const at::Tensor& weight, const Geometry& geometry,
                           const Epilogue& epilogue);
at::Tensor winogradInputGradient(const at::Tensor& dy, const at::Tensor& weight, const Geometry& geometry);
at::Tensor winogradWeightGradient(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry);

}  // namespace batch_cam
