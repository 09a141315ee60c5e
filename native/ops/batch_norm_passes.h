// The passes of batch norm in training, without a graph. batch_norm_passes.cc has the formulas. All tensors x, y, dy,
// add (N, C, H, W) are channels-last and of one dtype, float32 or bfloat16; weight, bias and statistics (C) are
// float32.
#pragma once

#include <ATen/core/Tensor.h>

namespace batch_cam {

struct BatchNormStatistics {
  at::Tensor mean, rstd;
};

// Running statistics, which a forward pass updates with the batch's: running = (1 - momentum) running + momentum batch.
struct RunningStatistics {
  at::Tensor mean, variance;
  double momentum;
};

struct BatchNormGradients {
  at::Tensor x, weight, bias, add;
};

// The gradients with respect to the arguments of the backward pass.
struct BatchNormDoubleGradients {
  at::Tensor dy, x, weight;
};

// The batch's statistics; updates the running ones.
BatchNormStatistics batchNormStatistics(const at::Tensor& x, const RunningStatistics& running, double eps);

// y = relu(xhat weight + bias + add); add may be undefined.
at::Tensor batchNormForward(const at::Tensor& x, const BatchNormStatistics& statistics, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& add, bool relu);

// The gradients for dy. y is undefined if there was no ReLU; the gradient with respect to `add` is computed if it is
// needed.
BatchNormGradients batchNormBackward(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& x,
                                     const BatchNormStatistics& statistics, const at::Tensor& weight, bool needsAdd);

// The gradients of sum(u dx) + sum(v dz), where dx and dz are results of the backward pass; v may be undefined.
BatchNormDoubleGradients batchNormDoubleBackward(const at::Tensor& u, const at::Tensor& v, const at::Tensor& dy,
                                                 const at::Tensor& y, const at::Tensor& x,
                                                 const BatchNormStatistics& statistics, const at::Tensor& weight);

}  // namespace batch_cam
