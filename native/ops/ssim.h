// SSIM composed of libtorch's operators, in float64. It has derivatives of any order by both images.
#pragma once

#include <ATen/core/Tensor.h>

namespace batch_cam {

// The mean SSIM of each pair of images x and y (N, H, W): (N), in x's dtype. The window is the outer product of
// `window` (side) with itself; c1 and c2 are the constants of kernels/ssim.h. `range` is the difference between the
// largest and the smallest value that the images may have.
at::Tensor ssim(const at::Tensor& x, const at::Tensor& y, const at::Tensor& window, double c1, double c2, double range);

}  // namespace batch_cam
