// Inner loops over memory that are compiled for each instruction set, and picked for the processor at run time.
// Matrices are row-major, `rows` pixels by channels; T is float or BFloat16. Sums are added to what the target holds.
#pragma once

#include "kernels/bfloat16.h"

namespace batch_cam {

struct LayerNormWeights {
  const float* weight;
  const float* bias;
  float eps;
};

// Channels of one layer, and pixels of one sample.
struct Extent {
  int64_t rows;
  int64_t channels;
};

struct PaddedImage {
  int64_t height;
  int64_t width;
  int64_t channels;  // of the tensor
  int64_t padded;    // channels rounded up to whole vectors
  int64_t kernel;    // side, odd; the frame is kernel / 2 wide
};

// What comes after a norm.
template <typename T>
struct Following {
  const T* add;  // or null
  bool relu;
};

// dx = gain * dz - slope * x - offset for each channel.
struct NormGradient {
  const float* gain;
  const float* slope;
  const float* offset;
};

// What the gradient of a norm is differentiated from: dx = J dz for dz = dy where y > 0 (everywhere if y is null),
// whose own gradients are u, for dx, and v (or null), for dz.
template <typename T>
struct NormTwice {
  const T* u;
  const T* v;
  const T* dy;
  const T* y;
  const T* x;
};

constexpr int kTwiceSums = 5;

// ddz = gain * u - slope * x - offset for each channel, as of NormGradient, and dx = ofU * u + ofDz * dz + ofX * x +
// constant.
struct NormTwiceGradient {
  NormGradient ofDz;
  const float* ofU;
  const float* ofGradient;
  const float* ofX;
  const float* constant;
};

// Where a place of a longer axis lies between two of a shorter one.
struct Step {
  int64_t low;
  int64_t high;
  float part;
};

// From maps of height x width to high x wide.
struct Resize {
  int64_t height;
  int64_t width;
  int64_t high;
  int64_t wide;
  const Step* rows;
  const Step* columns;
};

struct SsimShape {
  int64_t height;
  int64_t width;
  int64_t side;  // of the window
  float c1;
  float c2;
};

// c = a b, or c += a b: a (rows, inner) of any strides; b (inner, columns) and c (rows, columns) without gaps, columns
// whole vectors.
struct PanelProduct {
  int64_t rows;
  int64_t inner;
  int64_t columns;
  int64_t rowStride;
  int64_t innerStride;
  bool add;
};

// The most columns of a panel: the right operand of products lies in pieces of so many channels.
constexpr int64_t kPanel = 64;

struct WinogradMap {
  int64_t height;
  int64_t width;
  int64_t channels;    // whole vectors
  const float* zeros;  // as many
};

// A square of one image of a map, which may reach over its edges.
struct SquareOfMap {
  const WinogradMap* map;
  const float* pixels;  // of the image
  int64_t top;
  int64_t left;
};

// Where the values at the 36 points lie: numbers from one point to the next, and from one panel of channels to the
// next.
struct PointsLayout {
  int64_t point;
  int64_t panel;
  int64_t columns;  // channels of a panel, whole vectors
};

// The part of a square of results that lies within the map, and what comes after the convolution.
struct WinogradResult {
  float* y;
  int64_t height;
  int64_t width;
  int64_t line;       // numbers from one row to the next
  int64_t pixel;      // and from one pixel to the next
  const float* bias;  // or null
  const float* add;   // or null; lies as y does
  bool relu;
};

// Outer channels of a weight that are read together: each is a stream of its own, and more would not fit a cache.
constexpr int64_t kOuterAtOnce = 16;

// Where the kernels of `inner` channels of a weight lie, and their values at the points.
struct KernelPlaces {
  int64_t inner;
  int64_t toInner;  // numbers from one inner channel of the weight to the next
  int64_t toOuter;  // and from one outer channel
  bool turned;      // whether each kernel is read from its end
  int64_t point;    // numbers from one point to the next
  int64_t row;      // and, of one point, from one inner channel to the next
};

// Pixels of a square that a maximum is taken of; a code of this value stands for none of them.
constexpr int kCorners = 4;

template <typename T>
struct Kernels {
  // out = (x - mean) * rstd * weight + bias for each row; mean and rstd are kept.
  void (*layerNorm)(Extent extent, const T* x, const LayerNormWeights& norm, T* out, float* mean, float* rstd);
  // dx from dy, and the sums over rows of dy * xhat and dy.
  void (*layerNormBackward)(Extent extent, const T* x, const float* dy, const float* mean, const float* rstd,
                            const float* weight, T* dx, float* dweight, float* dbias);

  // h = gelu(h + bias) in place; squares[c] += h².
  void (*geluSquares)(Extent extent, float* h, const float* bias, float* squares);
  // out = g * scale + shift.
  void (*scaleShift)(Extent extent, const float* g, const float* scale, const float* shift, T* out);
  // g = gelu(h + bias), slope = gelu'(h + bias); y = g * scale + shift, two rows interleaved where T has 16 bits.
  void (*geluSlope)(Extent extent, const float* h, const float* bias, const float* scale, const float* shift, T* g,
                    T* slope, T* y);
  // sum[c] += dy, dot[c] += dy * g.
  void (*sumAndDot)(Extent extent, const float* dy, const T* g, float* sum, float* dot);
  // dh = (dy * scale + g * coefficient) * slope, over slope and, interleaved, into dhPairs; sum[c] += dh.
  void (*geluBackward)(Extent extent, const float* dy, const T* g, const float* scale, const float* coefficient,
                       T* slope, T* dhPairs, float* sum);

  // out = residual + y + bias.
  void (*addBias)(Extent extent, const float* y, const float* bias, const T* residual, T* out);
  // sum[c] += x - origin, squares[c] += (x - origin)².
  void (*moments)(Extent extent, const T* x, const float* origin, float* sum, float* squares);
  // y = relu(x * scale + shift + add).
  void (*scaleShiftAct)(Extent extent, const T* x, const float* scale, const float* shift,
                        const Following<T>& following, T* y);
  // dz = dy where y > 0 (everywhere if y is null), written unless dz is null; sum[c] += dz, dot[c] += dz * (x - mean).
  void (*actMoments)(Extent extent, const T* dy, const T* y, const T* x, const float* mean, T* dz, float* sum,
                     float* dot);
  void (*normBackward)(Extent extent, const T* dy, const T* y, const T* x, const NormGradient& norm, T* dx);
  // Sums over rows of u, dz, u * (x - mean), dz * (x - mean) and u * dz, each of all channels, one after the other.
  void (*normTwiceMoments)(Extent extent, const NormTwice<T>& of, const float* mean, float* sums);
  void (*normTwice)(Extent extent, const NormTwice<T>& of, const NormTwiceGradient& norm, T* ddy, T* dx);
  void (*columnSums)(Extent extent, const T* x, float* sum);
  // out (channels, stride) = x (rows, channels) transposed.
  void (*transpose)(Extent extent, const T* x, int64_t stride, T* out);
  // The layout that products want of their right operand: two rows interleaved where T has 16 bits, else a copy.
  void (*interleave)(Extent extent, const T* x, T* out);

  // (outer, inner, places) of floats as (outer, places, inner) of T; and back, plus an offset (outer, inner) unless it
  // is null.
  void (*placesFirst)(int64_t outer, Extent innerByPlaces, const float* from, T* to);
  void (*placesLast)(int64_t outer, Extent innerByPlaces, const T* from, const float* offset, float* to);

  // out[c] = sum of `count` rows.
  void (*sumOfRows)(int64_t channels, const T* const* rows, int64_t count, T* out);

  // x = relu(x).
  void (*rectify)(int64_t count, T* x);
  // A row of y = the maximum of relu over squares of 2x2 pixels, from two rows of pixels twice as many; and which of
  // the four it was, unless codes is null.
  void (*rectifyPool)(Extent pooled, const T* upper, const T* lower, T* y, uint8_t* codes);
  // Its gradient: dy where the code says, else zero; and the sums over rows of all that is passed on.
  void (*unpool)(Extent pooled, const T* dy, const uint8_t* codes, T* upper, T* lower);
  void (*codedSums)(Extent pooled, const T* dy, const uint8_t* codes, float* sum);
  // dz = dy where y > 0; sum[c] += dz.
  void (*rectifyBackward)(Extent extent, const T* dy, const T* y, T* dz, float* sum);

  // map = sum over channels of alpha * a for each pixel; da and dalpha (added to) from dmap, each unless it is null.
  void (*weightedSum)(Extent extent, const T* a, const float* alpha, float* map);
  void (*weightedSumBackward)(Extent extent, const T* a, const float* alpha, const float* dmap, T* da, float* dalpha);

  // An image as floats in a frame of zeros, channels padded with zeros.
  void (*frame)(const PaddedImage& image, const T* x, float* out);
  // y[h, w, c] = bias[c] + sum of x[h + r, w + s, c] * weight[r, s, c] over the kernel.
  void (*depthwise)(const PaddedImage& image, const float* framed, const float* weight, const float* bias, T* y);
};

struct KernelTable {
  const char* name;
  int64_t lanes;
  Kernels<float> float32;
  Kernels<BFloat16> bfloat16;
  // Two rows each, from `channel` on, interleaved: a right operand of products made of rows that lie anywhere.
  void (*interleaveRows)(Extent pairsByChannels, int64_t channel, const BFloat16* const* rows, BFloat16* out);
  // 32 rows that lie anywhere, of 16 n channels, as n tiles (16, 32) with `stride` numbers from one to the next.
  void (*transposeTiles)(int64_t channels, const BFloat16* const* rows, int64_t stride, BFloat16* out);
  // Bilinear, and what dout gives the map, added to dmap; `across` takes height x wide floats.
  void (*resize)(const Resize& resize, const float* map, float* across, float* out);
  void (*resizeBackward)(const Resize& resize, const float* dout, float* across, float* dmap);
  // (map - min) / (max - min + eps), zeros where all is equal, in place; and its gradient, in place.
  void (*normalise)(int64_t count, float eps, float* map);
  void (*normaliseBackward)(int64_t count, float eps, const float* map, float* gradient);
  // SSIM of two images and, unless it is null, its gradient by x; `scratch` floats that begin at zero.
  int64_t (*ssimScratch)(const SsimShape& shape);
  float (*ssim)(const SsimShape& shape, const float* x, const float* y, const float* taps, float* scratch, float* dx);
  // weight[r, s, c] += sum of dy[h, w, c] * x[h + r, w + s, c]; dy and x framed alike.
  void (*depthwiseWeight)(const PaddedImage& image, const float* framed, const float* dy, float* weight);

  void (*panelProduct)(const PanelProduct& shape, const float* a, const float* b, float* c);
  // Values at the points: of squares of 6x6 pixels, of 4x4 gradients, of kernels.
  void (*winogradInput)(const SquareOfMap& square, const PointsLayout& layout, float* out);
  void (*winogradGradient)(const SquareOfMap& square, const PointsLayout& layout, float* out);
  void (*winogradKernel)(const KernelPlaces& places, const float* weight, float* out);
  // And from there, `stride` numbers from point to point: 4x4 results; the gradient of kernels.
  void (*winogradResult)(const float* points, int64_t stride, int64_t channels, const WinogradResult& result);
  void (*winogradKernelGradient)(const KernelPlaces& places, const float* points, float* weight);
};

// The table for this processor.
const KernelTable& kernels();

template <typename T>
const Kernels<T>& kernelsOf();
template <>
inline const Kernels<float>& kernelsOf<float>() {
  return kernels().float32;
}
template <>
inline const Kernels<BFloat16>& kernelsOf<BFloat16>() {
  return kernels().bfloat16;
}

}  // namespace batch_cam
