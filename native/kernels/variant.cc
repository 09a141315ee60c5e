// All kernels for one instruction set. CMake compiles this file once for each level, with KERNEL_VARIANT as the name of
// the namespace and the compiler's options for that instruction set.
#include "kernels/batch_norm.h"
#include "kernels/block_product.h"
#include "kernels/cam_maps.h"
#include "kernels/convnext_mlp.h"
#include "kernels/convnext_mlp_second.h"
#include "kernels/depthwise.h"
#include "kernels/layer_norm.h"
#include "kernels/layout.h"
#include "kernels/panel_product.h"
#include "kernels/relu_pool.h"
#include "kernels/ssim.h"
#include "kernels/table.h"
#include "kernels/winograd.h"
#include "kernels/winograd_fixed.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The tables are filled by assignments, because designated initialisers need C++20 and the addon is C++17 with the
// pinned libtorch. These functions are constexpr, so that the tables are still initialised at compile time.
template <typename T>
constexpr Kernels<T> kernelsFor() {
  Kernels<T> k{};
  k.layerNorm = layerNorm<T>;
  k.layerNormBackward = layerNormBackward<T, float>;
  k.layerNormBackwardOf = layerNormBackward<T, T>;
  k.biasGeluSquares = biasGeluSquares<T>;
  k.scaleShift = scaleShift<T>;
  k.biasGeluScaled = biasGeluScaled<T>;
  k.sumAndDot = sumAndDot<T>;
  k.grnGeluBackward = grnGeluBackward<T>;
  k.layerNormTangent = layerNormTangent<T>;
  k.layerNormSecond = layerNormSecond<T>;
  k.geluTangent = geluTangent<T>;
  k.grnGeluSecond = grnGeluSecond<T>;
  k.convert = convert<T>;
  k.widen = widen<T>;
  k.addBias = addBias<T>;
  k.columnSums = columnSums<T>;
  if constexpr (hasProduct<T>) k.product = product<T>;
  k.moments = moments<T>;
  k.scaleShiftAddRelu = scaleShiftAddRelu<T>;
  k.reluBackwardMoments = reluBackwardMoments<T>;
  k.normBackward = normBackward<T>;
  k.normDoubleBackwardSums = normDoubleBackwardSums<T>;
  k.normDoubleBackward = normDoubleBackward<T>;
  k.transpose = transpose<T>;
  k.interleavePairs = interleavePairs<T>;
  k.positionsFirst = positionsFirst<T>;
  k.positionsLast = positionsLast<T>;
  k.sumOfRows = sumOfRows<T>;
  k.relu = relu<T>;
  k.reluPool = reluPool<T>;
  k.reluPoolBackward = reluPoolBackward<T>;
  k.reluPoolSums = reluPoolSums<T>;
  k.reluBackward = reluBackward<T>;
  k.weightedSum = weightedSum<T>;
  k.weightedSumBackward = weightedSumBackward<T>;
  k.pad = pad<T>;
  k.depthwise = depthwise<T>;
  k.depthwiseWeight = depthwiseWeight;
  k.winogradInputTransform = winogradInputTransform<T>;
  k.winogradOutputGradientTransform = winogradOutputGradientTransform<T>;
  k.winogradOutputTransform = winogradOutputTransform<T>;
  return k;
}

constexpr KernelTable tableFor(const char* name) {
  KernelTable t{};
  t.name = name;
  t.lanes = kLanes;
  t.float32 = kernelsFor<float>();
  t.bfloat16 = kernelsFor<BFloat16>();
  t.interleaveRowPairs = interleaveRowPairs;
  t.transposeToAmxTiles = transposeToAmxTiles;
  t.resize = resize;
  t.resizeBackward = resizeBackward;
  t.normalise = normalise;
  t.normaliseBackward = normaliseBackward;
  t.ssimScratch = ssimScratch;
  t.ssim = ssim;
  t.panelProduct = panelProduct;
  t.winogradWeightTransform = winogradWeightTransform;
  t.winogradWeightGradientTransform = winogradWeightGradientTransform;
#ifdef __AVX512VNNI__
  t.pixelMagnitudes = pixelMagnitudes;
  t.rowMagnitudes = rowMagnitudes;
  t.columnMagnitudes = columnMagnitudes;
  t.winogradFixedInputTransform = winogradFixedInputTransform;
  t.winogradFixedWeightTransform = winogradFixedWeightTransform;
  t.fixedPanelProduct = fixedPanelProduct;
#endif
  return t;
}

}  // namespace

#define NAME_OF(variant) #variant
#define NAME(variant) NAME_OF(variant)
extern const KernelTable table;
const KernelTable table = tableFor(NAME(KERNEL_VARIANT));

}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
