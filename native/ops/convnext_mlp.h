// The parameters and the passes of the MLP of a ConvNeXt-V2 block. convnext_mlp_forward.cc has the formula.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

namespace batch_cam {

// The weights of a block with C channels and H = 4 C hidden channels, all float32.
enum MlpParameter {
  kNormWeight,  // (C)
  kNormBias,    // (C)
  kFc1Weight,   // (H, C)
  kFc1Bias,     // (H)
  kGrnWeight,   // (H)
  kGrnBias,     // (H)
  kFc2Weight,   // (C, H)
  kFc2Bias,     // (C)
  kMlpParameters
};
using MlpParameters = std::array<at::Tensor, kMlpParameters>;

struct MlpEps {
  double norm;
  double grn;
};

// The forward pass. x and residual (N, H, W, C) are contiguous and of one dtype, float32 or bfloat16. Writes the norms
// of the hidden channels to `norms` (N, hidden channels), float32, which the backward pass needs.
at::Tensor mlpForward(const at::Tensor& x, const at::Tensor& residual, const MlpParameters& parameters,
                      const MlpEps& eps, const at::Tensor& norms);

// The gradient with respect to x, and those with respect to the parameters in the order of MlpParameter, which are
// undefined if `ofParameters` is false. The gradient with respect to the residual is `dout`.
std::vector<at::Tensor> mlpBackward(const at::Tensor& x, const at::Tensor& norms, const at::Tensor& dout,
                                    const MlpParameters& parameters, const MlpEps& eps, bool ofParameters);

// The second derivative: dx = mlpBackward(x, dout) has the gradient z, of x's shape and dtype. Returns the gradients
// with respect to x, to dout, and to the parameters; the latter are undefined if `ofParameters` is false.
std::vector<at::Tensor> mlpSecond(const at::Tensor& x, const at::Tensor& norms, const at::Tensor& dout,
                                  const at::Tensor& z, const MlpParameters& parameters, const MlpEps& eps,
                                  bool ofParameters);

}  // namespace batch_cam
