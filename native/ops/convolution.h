// The shape of a convolution with a square kernel, and what its passes share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace batch_cam {

struct Geometry {
  int64_t images, height, width, inner;  // of the input
  int64_t outHeight, outWidth, outer;    // of the output
  int64_t kernel, stride, padding;

  int64_t outPixels() const { return images * outHeight * outWidth; }
  int64_t patch() const { return kernel * kernel * inner; }
  bool isPointwise() const { return kernel == 1 && padding == 0; }
};

// Refuses what has no convolution here.
void checkConvolution(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding);
Geometry geometryOf(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding);

// The weight as the passes over values take it, in x's dtype: a matrix, or with its channels last.
at::Tensor operandOf(const at::Tensor& weight, const at::Tensor& x, const Geometry& geometry);
// The three passes, without a graph; x and dy have their channels last, bias (x's dtype) may be undefined.
at::Tensor forwardPass(const at::Tensor& x, const at::Tensor& operand, const at::Tensor& bias,
                       const Geometry& geometry);
at::Tensor inputPass(const at::Tensor& x, const at::Tensor& operand, const at::Tensor& dy, const Geometry& geometry);
at::Tensor weightPass(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& dy, const Geometry& geometry);

// The gradient of a weight (K, C, k, k) from bfloat16 pixels, x (N, H, W, C) and dy (N, H', W', K), as a matrix (K,
// places x C) of float32; and whether there is a kernel for it.
bool hasWeightGradientMatrix(const Geometry& geometry);
at::Tensor weightGradientMatrix(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry);

}  // namespace batch_cam
