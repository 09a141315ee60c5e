// The operations between the matrix products of ConvNeXt-V2's MLP: biases, GELU, and global response normalisation
// (GRN) as a scale and a shift for each channel, each forward and backward. Matrices are (pixels, channels) of one
// sample, or of several samples if a kernel takes their number of pixels: GRN's factors are then (samples, channels).
//
// Caller: ops/convnext_mlp_*.cc, on buffers that stay in the second-level cache. Each loop does several operations
// in one pass over its matrix, because the MLP is limited by these passes and not by its products.
#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The right operand of a product as a second copy of a matrix whose rows are also stored one by one. In float32 both
// have the same layout, so that no copy is written.
inline void storeExtraPair(Extent, int64_t, int64_t, const RowPair&, int64_t, float*) {}
inline void storeExtraPair(Extent extent, int64_t row, int64_t c, const RowPair& pair, int64_t lanes, BFloat16* to) {
  storePair(extent, row, c, pair, lanes, to);
}

// GRN needs the norm of each channel, so that the squares are summed in the same pass.
template <typename T>
void biasGeluSquares(Extent extent, float* h, const float* bias, float* squares) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, h += channels) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector g = gelu(load(h + c, lanes) + load(bias + c, lanes), T{}).value;
      store(h + c, g, lanes);
      store(squares + c, load(squares + c, lanes) + g * g, lanes);
    });
  }
}

// GRN: out = g (1 + weight R) + bias, with scale = 1 + weight R and shift = bias.
template <typename T>
void scaleShift(Extent extent, const float* g, const float* scale, const float* shift, T* out) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, g += channels, out += channels) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      store(out + c, load(g + c, lanes) * load(scale + c, lanes) + load(shift + c, lanes), lanes);
    });
  }
}

// The backward pass computes the hidden layer again; this is its forward part: GELU, its derivative, and GRN.
template <typename T>
void biasGeluScaled(Extent extent, int64_t pixels, const float* h, const float* bias, const float* scale,
                    const float* shift, T* g, T* derivative, T* y) {
  const int64_t channels = extent.channels;
  forEachRowPair(extent, [&](int64_t row, bool both) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector b = load(bias + c, lanes), offset = load(shift + c, lanes);
      const auto one = [&](int64_t of) {
        const int64_t at = of * channels + c;
        const Gelu made = gelu(load(h + at, lanes) + b, T{});
        store(g + at, made.value, lanes);
        store(derivative + at, made.derivative, lanes);
        return made.value * load(scale + of / pixels * channels + c, lanes) + offset;
      };
      const Vector first = one(row);
      const Vector second = both ? one(row + 1) : Vector{};
      storePair(extent, row, c, {first, second, both}, lanes, y);
    });
  });
}

// The sums for the gradients of GRN: sum of dy for its bias, and sum of dy g for its weight and the norms.
template <typename T>
void sumAndDot(Extent extent, const float* dy, const T* g, float* sum, float* dot) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, dy += channels, g += channels) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const Vector gradient = load(dy + c, lanes);
      store(sum + c, load(sum + c, lanes) + gradient, lanes);
      store(dot + c, load(dot + c, lanes) + gradient * load(g + c, lanes), lanes);
    });
  }
}

// The gradient through GRN and GELU. `coefficient` holds what the norm of a channel contributes for each unit of g.
template <typename T>
void grnGeluBackward(Extent extent, int64_t pixels, const float* dy, const T* g, const float* scale,
                     const float* coefficient, T* derivative, T* dhPairs, float* sum) {
  const int64_t channels = extent.channels;
  forEachRowPair(extent, [&](int64_t row, bool both) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const auto one = [&](int64_t of) {
        const int64_t at = of * channels + c, factors = of / pixels * channels + c;
        const Vector dg = load(dy + at, lanes) * load(scale + factors, lanes) +
                          load(g + at, lanes) * load(coefficient + factors, lanes);
        const Vector dh = dg * load(derivative + at, lanes);
        store(derivative + at, dh, lanes);
        return dh;
      };
      const Vector first = one(row);
      const Vector second = both ? one(row + 1) : Vector{};
      storeExtraPair(extent, row, c, {first, second, both}, lanes, dhPairs);
      store(sum + c, load(sum + c, lanes) + first + second, lanes);
    });
  });
}

// The end of the block: the second product's bias, and the residual connection.
template <typename T>
void addBias(Extent extent, const float* y, const float* bias, const T* residual, T* out) {
  const int64_t channels = extent.channels;
  for (int64_t row = 0; row < extent.rows; ++row, y += channels, residual += channels, out += channels) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      store(out + c, load(y + c, lanes) + load(bias + c, lanes) + load(residual + c, lanes), lanes);
    });
  }
}

template <typename T>
void columnSums(Extent extent, const T* x, float* sum) {
  for (int64_t row = 0; row < extent.rows; ++row, x += extent.channels) {
    forEachVector(extent.channels,
                  [&](int64_t c, int64_t lanes) { store(sum + c, load(sum + c, lanes) + load(x + c, lanes), lanes); });
  }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
