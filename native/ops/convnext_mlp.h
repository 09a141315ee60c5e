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

// The weights as right operands of products in x's dtype (ops/small_product.h): fc1 and fc2 for the forward pass, the
// others for the gradients of both layers' inputs.
struct MlpOperands {
  at::Tensor fc1, fc2, fc1Back, fc2Back;
};

// The operands; the last two only if `differentiated`.
MlpOperands mlpOperands(at::ScalarType dtype, const MlpParameters& parameters, bool differentiated);

// The values that the forward pass keeps for the others: the norms of the hidden channels (N, hidden channels),
// float32; and the hidden layer before its bias (N, pixels, hidden channels), of x's dtype, or an undefined tensor if
// they compute it again; and the operands.
struct MlpHidden {
  at::Tensor norms;
  at::Tensor layer;
  MlpOperands operands;
};

// The values that the first derivative keeps for the second, or undefined tensors: u, the gradient of GRN's result (N,
// pixels, hidden channels), of x's dtype; and dnormed, that of the layer norm's result, of x's shape, float32.
struct MlpSlopes {
  at::Tensor u;
  at::Tensor dnormed;
};

// The forward pass. x and residual (N, H, W, C) are contiguous and of one dtype, float32 or bfloat16. Writes the
// tensors of `hidden`.
at::Tensor mlpForward(const at::Tensor& x, const at::Tensor& residual, const MlpParameters& parameters,
                      const MlpEps& eps, const MlpHidden& hidden);

// The gradient with respect to x, and those with respect to the parameters in the order of MlpParameter, which are
// undefined if `ofParameters` is false. The gradient with respect to the residual is `dout`. Writes the tensors of
// `slopes` that are defined.
std::vector<at::Tensor> mlpBackward(const at::Tensor& x, const MlpHidden& hidden, const at::Tensor& dout,
                                    const MlpParameters& parameters, const MlpEps& eps, bool ofParameters,
                                    const MlpSlopes& slopes = {});

// The second derivative: dx = mlpBackward(x, dout) has the gradient z, of x's shape and dtype. Returns the gradients
// with respect to x, to dout, and to the parameters; the latter are undefined if `ofParameters` is false.
std::vector<at::Tensor> mlpSecond(const at::Tensor& x, const MlpHidden& hidden, const MlpSlopes& slopes,
                                  const at::Tensor& dout, const at::Tensor& z, const MlpParameters& parameters,
                                  const MlpEps& eps, bool ofParameters);

}  // namespace batch_cam
