// The table of all vectorised loops. They are compiled once for each instruction set (variant.cc); kernels() is the
// table for this processor (select.cc).
//
// Conventions: matrices are row-major with `extent.rows` rows (pixels, as a rule) of `extent.channels` channels, so
// that images have their channels last. T is float or BFloat16; all arithmetic is float32. Kernels add sums (`sum`,
// `dot`, `squares`, `dweight`, `dbias`, `dalpha`, `sums`) to what the target holds. No kernel allocates memory or
// starts threads. The formulas' derivations and the reasons for each kernel are in the header that implements it, named
// in each section.
#pragma once

#include "kernels/arguments.h"

namespace batch_cam {

template <typename T>
struct Kernels {
  // --- layer_norm.h; called by ops/convnext_mlp_*.cc and ops/layer_norm.cc ---

  // out = (x - mean) rstd weight + bias for each row; writes mean and rstd (rows).
  void (*layerNorm)(Extent extent, const T* x, const LayerNormWeights& norm, T* out, float* mean, float* rstd);
  // dx (rows, channels) from dy; dweight[c] += sum of dy xhat and dbias[c] += sum of dy over the rows.
  void (*layerNormBackward)(Extent extent, const T* x, const float* dy, const float* mean, const float* rstd,
                            const float* weight, T* dx, float* dweight, float* dbias);
  // The same for a dy of T.
  void (*layerNormBackwardOf)(Extent extent, const T* x, const T* dy, const float* mean, const float* rstd,
                              const float* weight, T* dx, float* dweight, float* dbias);

  // --- convnext_mlp.h; called by ops/convnext_mlp_*.cc ---

  // h = gelu(h + bias) in place; squares[c] += sum of h² over the rows.
  void (*biasGeluSquares)(Extent extent, float* h, const float* bias, float* squares);
  // out = g scale + shift.
  void (*scaleShift)(Extent extent, const float* g, const float* scale, const float* shift, T* out);
  // The next two take rows of several samples, with `pixels` rows each; scale and coefficient are (samples, channels).
  // g = gelu(h + bias), derivative = gelu'(h + bias), y = g scale + shift; y has the layout of `interleavePairs`.
  void (*biasGeluScaled)(Extent extent, int64_t pixels, const float* h, const float* bias, const float* scale,
                         const float* shift, T* g, T* derivative, T* y);
  // sum[c] += sum of dy, dot[c] += sum of dy g over the rows.
  void (*sumAndDot)(Extent extent, const float* dy, const T* g, float* sum, float* dot);
  // dh = (dy scale + g coefficient) derivative. Replaces `derivative`, and in bfloat16 is also written to dhPairs in
  // the layout of `interleavePairs`; sum[c] += sum of dh over the rows.
  void (*grnGeluBackward)(Extent extent, int64_t pixels, const float* dy, const T* g, const float* scale,
                          const float* coefficient, T* derivative, T* dhPairs, float* sum);
  // out = residual + y + bias.
  void (*addBias)(Extent extent, const float* y, const float* bias, const T* residual, T* out);
  // sum[c] += sum of x over the rows. Also called by ops/depthwise.cc.
  void (*columnSums)(Extent extent, const T* x, float* sum);

  // --- batch_norm.h; called by ops/batch_norm_passes.cc ---

  // sum[c] += sum of (x - origin), squares[c] += sum of (x - origin)² over the rows.
  void (*moments)(Extent extent, const T* x, const float* origin, float* sum, float* squares);
  // y = relu(x scale + shift + add); the sum and the ReLU are optional.
  void (*scaleShiftAddRelu)(Extent extent, const T* x, const float* scale, const float* shift,
                            const NormPostOps<T>& postOps, T* y);
  // dz = dy where y > 0 (everywhere if y is null), written unless dz is null; sum[c] += sum of dz and
  // dot[c] += sum of dz (x - mean) over the rows.
  void (*reluBackwardMoments)(Extent extent, const T* dy, const T* y, const T* x, const float* mean, T* dz, float* sum,
                              float* dot);
  // dx = gain dz - slope x - offset, with dz as above.
  void (*normBackward)(Extent extent, const T* dy, const T* y, const T* x, const NormBackwardFactors& norm, T* dx);
  // sums (5, channels): adds the sums over the rows of u, dz, u (x - mean), dz (x - mean) and u dz.
  void (*normDoubleBackwardSums)(Extent extent, const NormDoubleBackward<T>& of, const float* mean, float* sums);
  // The gradients with respect to dy and x of the backward pass (see NormDoubleBackwardFactors).
  void (*normDoubleBackward)(Extent extent, const NormDoubleBackward<T>& of, const NormDoubleBackwardFactors& norm,
                             T* ddy, T* dx);

  // --- convnext_mlp_second.h and layer_norm.h; called by ops/convnext_mlp_*.cc and ops/layer_norm.cc ---

  // The derivative of layerNorm in the direction z: out = weight rstd (z - mean(z) - xhat mean(z xhat)).
  void (*layerNormTangent)(Extent extent, const T* x, const T* z, const float* mean, const float* rstd,
                           const float* weight, T* out);
  // The gradients of <dtangent, layerNormTangent(x, z)> + <dy, layerNorm(x)> with respect to x, which is written to dx,
  // and with respect to the weight and the bias, which are added.
  void (*layerNormSecond)(Extent extent, const LayerNormSecond<T>& of, T* dx, float* dweight, float* dbias);
  // For one sample, from the hidden layer h without bias, its derivative dh in some direction, and the gradient u: h
  // becomes g = gelu(h + bias), dh becomes dg = gelu'(h + bias) dh, derivative = gelu'(h + bias) and
  // bend = gelu''(h + bias) dh. Adds the sums over the rows of u g, u dg and g dg to sums (3, channels).
  void (*geluTangent)(Extent extent, const float* bias, const float* u, float* h, float* dh, T* derivative, T* bend,
                      float* sums);
  // The second derivative of GRN and GELU for rows of several samples (see MlpSecond); sum[c] += sum of ofHidden.
  void (*grnGeluSecond)(Extent extent, int64_t pixels, const MlpSecond<T>& of, float* sum);
  // Converts floats to T.
  void (*convert)(int64_t count, const float* from, T* to);
  // Converts T to floats.
  void (*widen)(int64_t count, const T* from, float* to);

  // --- block_product.h; called by ops/small_product.cc ---

  // c = a b, or c += a b. a has `stride` values from row to row; b has the layout of `interleavePairs`; c is row-major.
  // In bfloat16 `inner` is rounded up to an even number, so that a must have zeros there. Null if this level has no
  // products of T: in bfloat16 only avx512bf16 has, and in float32 all but baseline.
  void (*product)(const ProductShape& shape, const T* a, int64_t stride, const T* b, float* c, bool add);

  // --- layout.h; called by the operators whose products need another layout ---

  // out (channels, stride) = x (rows, channels) transposed; the columns of `out` beyond `rows` are not written.
  void (*transpose)(Extent extent, const T* x, int64_t stride, T* out);
  // The right operand of ops/small_product.h: in bfloat16 two rows interleaved, element by element; in float32 a copy.
  void (*interleavePairs)(Extent extent, const T* x, T* out);
  // A weight (outer, inner, positions) of floats as (outer, positions, inner) of T. The extent is inner x positions.
  void (*positionsFirst)(int64_t outer, Extent innerByPositions, const float* from, T* to);
  // The inverse of positionsFirst, plus an offset (outer, inner) unless it is null.
  void (*positionsLast)(int64_t outer, Extent innerByPositions, const T* from, const float* offset, float* to);
  // out[c] = sum of rows[i][c] for i < count.
  void (*sumOfRows)(int64_t channels, const T* const* rows, int64_t count, T* out);

  // --- relu_pool.h; called by ops/conv_relu.cc (relu also by ops/cam_maps.cc) ---

  // x = max(x, 0) in place.
  void (*relu)(int64_t count, T* x);
  // One row of y = max-pooling of relu over windows of 2x2 pixels, from two rows with twice as many pixels. codes,
  // unless null, gets for each value which pixel of the window held the maximum (see kWindowPixels).
  void (*reluPool)(Extent pooled, const T* upper, const T* lower, T* y, uint8_t* codes);
  // The gradient of reluPool: each pixel gets dy if the code names it, else zero.
  void (*reluPoolBackward)(Extent pooled, const T* dy, const uint8_t* codes, T* upper, T* lower);
  // sum[c] += sum over the rows of all dy that reluPoolBackward passes on: the gradient of a bias before the pooling.
  void (*reluPoolSums)(Extent pooled, const T* dy, const uint8_t* codes, float* sum);
  // dz = dy where y > 0, else 0; sum[c] += sum of dz over the rows.
  void (*reluBackward)(Extent extent, const T* dy, const T* y, T* dz, float* sum);

  // --- cam_maps.h; called by ops/cam_maps.cc ---

  // map[pixel] = sum over channels of alpha[c] a[pixel, c].
  void (*weightedSum)(Extent extent, const T* a, const float* alpha, float* map);
  // da = alpha dmap, and dalpha[c] += sum of a dmap over pixels; each is skipped if its pointer is null.
  void (*weightedSumBackward)(Extent extent, const T* a, const float* alpha, const float* dmap, T* da, float* dalpha);

  // --- depthwise.h; called by ops/depthwise.cc ---

  // Copies an image (H, W, channels) as floats into a border of zeros: (H + 2b, W + 2b, paddedChannels), b = kernel
  // / 2.
  void (*pad)(const DepthwiseImage& image, const T* x, float* out);
  // y[h, w, c] = bias[c] + sum over r, s of padded[h + r, w + s, c] weight[r, s, c]; bias may be null.
  void (*depthwise)(const DepthwiseImage& image, const float* padded, const float* weight, const float* bias, T* y);
  // weight[r, s, c] += sum over h, w of dy[h, w, c] x[h + r, w + s, c]; x and dy are both as `pad` writes them.
  void (*depthwiseWeight)(const DepthwiseImage& image, const float* padded, const float* dy, float* weight);

  // --- winograd.h; called by ops/winograd*.cc. The transform domain is float32 for images of both dtypes ---

  // Bᵀ d B of an input tile d of 6x6 pixels.
  void (*winogradInputTransform)(const MapTile<T>& tile, const TransformLayout& layout, float* out);
  // A dy Aᵀ of a tile dy of 4x4 output gradients.
  void (*winogradOutputGradientTransform)(const MapTile<T>& tile, const TransformLayout& layout, float* out);
  // relu(Aᵀ m A + bias + add) of a tile m of 6x6 products, `elementStride` floats from element to element.
  void (*winogradOutputTransform)(const float* products, int64_t elementStride, int64_t channels,
                                  const OutputTile<T>& tile);
};

struct KernelTable {
  const char* name;  // baseline, avx2, avx512 or avx512bf16
  int64_t lanes;     // floats in a vector
  Kernels<float> float32;
  Kernels<BFloat16> bfloat16;

  // --- layout.h; called by ops/amx_weight_gradient.cc ---

  // Interleaves rows[2 i] and rows[2 i + 1] element by element, from `channel` on; the rows may be anywhere in memory.
  // out is (pairs, channels, 2).
  void (*interleaveRowPairs)(Extent pairsByChannels, int64_t channel, const BFloat16* const* rows, BFloat16* out);
  // Transposes 32 rows of 16 n channels, anywhere in memory, to n tiles (16 channels, 32 rows), `stride` apart.
  void (*transposeToAmxTiles)(int64_t channels, const BFloat16* const* rows, int64_t stride, BFloat16* out);

  // --- cam_maps.h; called by ops/cam_maps.cc ---

  // Bilinear resizing; `scratch` has height x outWidth floats.
  void (*resize)(const ResizeShape& shape, const float* map, float* scratch, float* out);
  // dmap += the gradient of `resize` for dout.
  void (*resizeBackward)(const ResizeShape& shape, const float* dout, float* scratch, float* dmap);
  // map = (map - min) / (max - min + eps) in place; zeros if all values are equal.
  void (*normalise)(int64_t count, float eps, float* map);
  // Replaces the gradient with respect to the normalised map with the gradient with respect to `map`.
  void (*normaliseBackward)(int64_t count, float eps, const float* map, float* gradient);

  // --- ssim.h; called by ops/map_distance.cc ---

  // The number of floats that `ssim` needs as scratch memory.
  int64_t (*ssimScratch)(const SsimShape& shape);
  // The mean SSIM of two images (H, W), and its gradient with respect to x unless dx is null. The window is the outer
  // product of taps (side) with itself. All floats of `scratch` must be zero before the first call.
  float (*ssim)(const SsimShape& shape, const float* x, const float* y, const float* taps, float* scratch, float* dx);

  // --- panel_product.h; called by ops/winograd*.cc ---

  void (*panelProduct)(const PanelProductShape& shape, const float* a, const float* b, float* c);

  // --- winograd.h; called by ops/winograd*.cc. The transforms of images are in Kernels<T> ---

  // G g Gᵀ of each 3x3 kernel g of a part of the weight.
  void (*winogradWeightTransform)(const WeightLayout& layout, const float* weight, float* out);
  // Gᵀ m G of each 6x6 sum m of products: the gradient of a part of the weight.
  void (*winogradWeightGradientTransform)(const WeightLayout& layout, const float* sums, float* weight);

  // --- winograd_fixed.h; called by ops/winograd_fixed.cc; null if the instruction set has no products of integers ---

  // For each pixel the largest sum of squares of kFixedInner channels, and the largest magnitude.
  void (*pixelMagnitudes)(Extent extent, const BFloat16* x, Magnitudes* out);
  // The sum of squares and the largest magnitude of `count` values.
  Magnitudes (*rowMagnitudes)(int64_t count, const float* x);
  // squares[i] += x[i]² and most[i] = max(most[i], |x[i]|).
  void (*columnMagnitudes)(int64_t count, const float* x, float* squares, float* most);
  // winogradInputTransform, divided by norms of its matrices, times `scale`, and rounded to integers.
  void (*winogradFixedInputTransform)(const MapTile<BFloat16>& tile, const TransformLayout& layout, float scale,
                                      int16_t* out);
  // winogradWeightTransform in the same way, with a scale for each outer channel. A 32-bit word of `out` holds two
  // inner channels; layout.inner is even, and rowStride is the stride from pair to pair.
  void (*winogradFixedWeightTransform)(const WeightLayout& layout, const float* weight, const float* scales,
                                       int32_t* out);
  // c = a b or c += a b, times the norms of one of the 36 elements. b is (inner / 2, columns) pairs.
  void (*fixedPanelProduct)(const PanelProductShape& shape, int element, const int16_t* a, const int32_t* b, float* c);
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
