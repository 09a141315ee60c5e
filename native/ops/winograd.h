// Convolution with a 3x3 kernel and stride 1 by Winograd's method F(4x4, 3x3): the forward pass and both gradients.
// kernels/winograd.h has the formulas. Each pass transforms tiles of the images and the weight, multiplies them as 36
// matrices (one for each element of the transform domain), and transforms the products back.
//
// Callers: ops/convolution_passes.cc for training, and batch_cam::winograd_conv for inference. The method needs a
// quarter of the multiplications of a direct convolution, whose kernels in oneDNN already run at the processor's peak
// rate. A ResNet-18 training step on AVX-512 cores takes 0.6 of the time that it takes with oneDNN's convolutions, a
// SimpleCNN step 0.7. Images may be float32 or bfloat16; the transforms are float32. In bfloat16 AMX is faster, so the
// method is used without it, and with products of integers where the processor has them (winograd_fixed.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/convolution.h"

namespace batch_cam {

// Whether the method supports a convolution, and is faster than oneDNN's kernels for its shape.
bool supportsWinograd(const Geometry& geometry, at::ScalarType dtype);

// The operations that follow a convolution in the same pass: y = relu(conv + bias + add).
struct ConvPostOps {
  at::Tensor bias;  // (K), or undefined
  at::Tensor add;   // of the output's shape, channels-last; or undefined
  bool relu = false;
};

// The three passes. x (N, C, H, W) and dy (N, K, H', W') are channels-last, the weight (K, C, 3, 3) is contiguous
// float32. y and the gradient with respect to x have x's dtype, the one with respect to the weight is float32.
at::Tensor winogradForward(const at::Tensor& x, const at::Tensor& weight, const Geometry& geometry,
                           const ConvPostOps& postOps);
at::Tensor winogradInputGradient(const at::Tensor& dy, const at::Tensor& weight, const Geometry& geometry);
at::Tensor winogradWeightGradient(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry);

}  // namespace batch_cam
