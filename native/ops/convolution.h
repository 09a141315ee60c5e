// The shape of a convolution with a square kernel, and the three passes of a convolution: forward, gradient with
// respect to the input and gradient with respect to the weight. convolution_passes.cc chooses a kernel for each pass;
// ARCHITECTURE.md has the table.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace batch_cam {

struct Geometry {
  int64_t images, height, width, inner;  // of the input; inner: channels
  int64_t outHeight, outWidth, outer;    // of the output; outer: channels
  int64_t kernel, stride, padding;

  int64_t outPixels() const { return images * outHeight * outWidth; }
  int64_t patch() const { return kernel * kernel * inner; }
  bool isPointwise() const { return kernel == 1 && padding == 0; }
};

// Throws if the tensors' shapes, dtypes or the padding are not supported.
void checkConvolution(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding);
Geometry geometryOf(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding);

// The weight in x's dtype, in the layout that forwardPass and inputPass read: contiguous for Winograd, a matrix
// (K, k k C) for products, or channels-last for oneDNN.
at::Tensor operandOf(const at::Tensor& weight, const at::Tensor& x, const Geometry& geometry);
// batch_cam::convolution, which can be differentiated to any order.
at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding);

// The three passes, without a graph. x and dy are channels-last and of one dtype; bias is float32, or undefined.
// The gradient with respect to the weight is float32.
at::Tensor forwardPass(const at::Tensor& x, const at::Tensor& operand, const at::Tensor& bias,
                       const Geometry& geometry);
at::Tensor inputPass(const at::Tensor& x, const at::Tensor& operand, const at::Tensor& dy, const Geometry& geometry);
at::Tensor weightPass(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& dy, const Geometry& geometry);

// The weight gradient in the tile registers of AMX (amx_weight_gradient.cc), from bfloat16 x (N, H, W, C) and
// dy (N, H', W', K), as a float32 matrix (K, k k C); and whether it is available for a shape.
bool supportsAmxWeightGradient(const Geometry& geometry);
at::Tensor amxWeightGradient(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry);

}  // namespace batch_cam
