// The shape of a convolution with a square kernel, and what its passes share.
#pragma once

#include <ATen/ATen.h>

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

// The gradient of a weight (K, C, k, k) from bfloat16 pixels, x (N, H, W, C) and dy (N, H', W', K), as a matrix (K,
// places x C) of float32: products of dy, transposed, with the patches of x, which are laid out in the cache as the
// products want them.
at::Tensor weightGradientMatrix(const at::Tensor& x, const at::Tensor& dy, const Geometry& geometry);

}  // namespace batch_cam
