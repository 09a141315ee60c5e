// Shapes, layouts and constants that kernels take as arguments. Strides and sizes are counted in elements, not bytes.
#pragma once

#include "kernels/bfloat16.h"

namespace batch_cam {

// The shape of a row-major matrix without gaps. Rows are usually pixels.
struct Extent {
  int64_t rows;
  int64_t channels;
};

struct LayerNormWeights {
  const float* weight;  // (channels)
  const float* bias;    // (channels)
  float eps;
};

// Operands of layerNormSecond. x and z are (rows, channels) like dtangent and dy; mean and rstd are (rows).
template <typename T>
struct LayerNormSecond {
  const T* x;
  const T* z;
  const float* mean;
  const float* rstd;
  const float* weight;
  const float* dtangent;
  const float* dy;
};

// Operands of the second derivative of ConvNeXt's MLP between its products; ops/convnext_mlp_second.cc has the formula.
// The first group are matrices (rows, channels) as geluTangent leaves them, the second the factors of GRN
// (samples, channels), the third the results. A result is stored by rows and, in bfloat16, also in the layout of
// `interleavePairs`.
template <typename T>
struct MlpSecond {
  const float* u;
  const float* g;
  const float* dg;
  const T* derivative;
  const T* bend;

  const float* scale;
  const float* scaleTangent;
  const float* coefficient;
  const float* coefficientOfNorm;

  T* ofHidden;  // derivative (u scaleTangent + dg coefficient + g coefficientOfNorm) + bend (u scale + g coefficient)
  T* ofHiddenPairs;
  T* ofTangent;  // derivative (u scale + g coefficient)
  T* ofTangentPairs;
  T* y;  // dg scale + g scaleTangent
  T* yPairs;
};

// An image of a depthwise convolution, and the same image as `pad` writes it: with a border of kernel / 2 zeros on each
// side, and its channels padded with zeros to whole vectors.
struct DepthwiseImage {
  int64_t height;
  int64_t width;
  int64_t channels;
  int64_t paddedChannels;
  int64_t kernel;  // side of the kernel: 3, 5 or 7
};

// The operations that follow batch norm in the same pass: y = relu(norm(x) + add).
template <typename T>
struct NormPostOps {
  const T* add;  // of x's shape, or null
  bool relu;
};

// The gradient of batch norm as one linear function for each channel: dx = gain dz - slope x - offset.
struct NormBackwardFactors {
  const float* gain;
  const float* slope;
  const float* offset;
};

// Operands of batch norm's double backward. The backward pass computed dx and dz from dy; dz = dy where y > 0, or
// everywhere if y is null. u is the gradient with respect to dx, and v (or null) the gradient with respect to dz.
template <typename T>
struct NormDoubleBackward {
  const T* u;
  const T* v;
  const T* dy;
  const T* y;
  const T* x;
};

// The number of sums over rows that batch norm's double backward needs for each channel.
constexpr int kDoubleBackwardSums = 5;

// The results of batch norm's double backward as linear functions for each channel: the gradient with respect to dz is
// ofDz.gain u - ofDz.slope x - ofDz.offset, and the gradient with respect to x is ofU u + ofGradient dz + ofX x +
// constant.
struct NormDoubleBackwardFactors {
  NormBackwardFactors ofDz;
  const float* ofU;
  const float* ofGradient;
  const float* ofX;
  const float* constant;
};

// Linear interpolation between two positions: (1 - weight) values[low] + weight values[high].
struct Interpolation {
  int64_t low;
  int64_t high;
  float weight;
};

// Bilinear resizing of a map of height x width to outHeight x outWidth.
struct ResizeShape {
  int64_t height;
  int64_t width;
  int64_t outHeight;
  int64_t outWidth;
  const Interpolation* rows;     // (outHeight)
  const Interpolation* columns;  // (outWidth)
};

struct SsimShape {
  int64_t height;
  int64_t width;
  int64_t side;  // of the square window
  float c1;
  float c2;
};

// The sizes of a product of (rows, inner) and (inner, columns).
struct ProductShape {
  int64_t rows;
  int64_t columns;
  int64_t inner;
};

// Operands of c = a b, or c += a b if `add` is set. a is (rows, inner) with any strides; b (inner, columns) and
// c (rows, columns) are row-major without gaps; columns is a multiple of the vector's lanes.
struct PanelProductShape {
  int64_t rows;
  int64_t inner;
  int64_t columns;
  int64_t rowStride;
  int64_t innerStride;
  bool add;
};

// The largest number of output channels in a panel. The right operand of a product is stored as panels, one after the
// other; each panel holds all inner channels of at most this many output channels.
constexpr int64_t kMaxPanelColumns = 64;

// The sizes of Winograd's F(4x4, 3x3), see winograd.h.
constexpr int kWinogradOutput = 4;                                     // side of an output tile
constexpr int kWinogradKernel = 3;                                     // side of the convolution's kernel
constexpr int kWinogradInput = kWinogradOutput + kWinogradKernel - 1;  // side of an input tile: 6
constexpr int kWinogradTaps = kWinogradKernel * kWinogradKernel;       // values of a kernel: 9
constexpr int kWinogradElements = kWinogradInput * kWinogradInput;     // values in the transform domain: 36

// One channels-last image tensor (N, H, W, C) as the Winograd kernels read it. Positions outside of the image are read
// from `zeros`.
template <typename T>
struct MapShape {
  int64_t height;
  int64_t width;
  int64_t channels;  // a multiple of the vector's lanes
  const T* zeros;    // (channels)
};

// A square tile of one image. It may extend beyond the image's edges.
template <typename T>
struct MapTile {
  const MapShape<T>* map;
  const T* pixels;  // the image's first pixel
  int64_t top;
  int64_t left;
};

// The layout of a tile's 36 values in the transform domain. Channels are divided into panels of `panelColumns`.
struct TransformLayout {
  int64_t elementStride;  // from one of the 36 elements to the next
  int64_t panelStride;    // from one panel of channels to the next
  int64_t panelColumns;   // a multiple of the vector's lanes
};

// Where an output tile of up to 4x4 pixels is written, and what is added to it. height and width are less than 4 for a
// tile that extends beyond the image's edge.
template <typename T>
struct OutputTile {
  T* y;
  int64_t height;
  int64_t width;
  int64_t rowStride;
  int64_t pixelStride;
  const float* bias;  // (channels), or null
  const T* add;       // of y's layout, or null
  bool relu;
  float scale;          // the products are multiplied by scale and scales,
  const float* scales;  // (channels); null for no factors
};

// The largest sum of squares of a part of some values, and the largest magnitude of all.
struct Magnitudes {
  float squares;
  float largest;  // infinite or NaN if a value is
};

// The number of inner channels whose products Winograd's convolution adds in 32-bit integers, see winograd_fixed.h.
constexpr int64_t kFixedInner = 64;

// The number of outer channels of a weight that the Winograd kernels transform at a time. Each is a separate stream of
// reads; more streams would not fit in the first-level cache.
constexpr int64_t kOuterBlock = 16;

// The layout of `inner` x kOuterBlock kernels of 3x3 in a weight, and of their 36 values in the transform domain.
struct WeightLayout {
  int64_t inner;
  int64_t innerStride;  // from one inner channel of the weight to the next
  int64_t outerStride;  // from one outer channel of the weight to the next
  bool rotated180;      // whether each kernel is read rotated by 180 degrees
  int64_t elementStride;
  int64_t rowStride;  // in the transform domain, from one inner channel to the next
};

// The number of pixels in a max-pooling window of 2x2. A code below it says which pixel held the maximum; this value
// itself says that the maximum was zero, so that no pixel receives a gradient.
constexpr int kWindowPixels = 4;

}  // namespace batch_cam
