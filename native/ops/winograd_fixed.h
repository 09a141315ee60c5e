// The convolution of winograd.h for bfloat16 images with products of 16-bit integers (kernels/winograd_fixed.h).
// Callers: winograd.cc, for the forward pass and the gradient with respect to the input.
#pragma once

#include "ops/winograd.h"
#include "ops/winograd_tiles.h"

namespace batch_cam {
namespace winograd {

// Whether this processor's kernels include them.
bool hasFixedPoint();

at::Tensor convolveFixed(const at::Tensor& x, const WeightView& weight, const Output& output,
                         const ConvPostOps& postOps);

}  // namespace winograd
}  // namespace batch_cam
