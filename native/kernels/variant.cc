// Compiled once for each instruction set, with KERNEL_VARIANT for its namespace.
#include "kernels/batch_norm.h"
#include "kernels/cam_maps.h"
#include "kernels/convnext_mlp.h"
#include "kernels/depthwise.h"
#include "kernels/layer_norm.h"
#include "kernels/layout.h"
#include "kernels/panel_product.h"
#include "kernels/relu_pool.h"
#include "kernels/ssim.h"
#include "kernels/table.h"
#include "kernels/winograd.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

template <typename T>
constexpr Kernels<T> made() {
  return {layerNorm<T>,
          layerNormBackward<T>,
          geluSquares,
          scaleShift<T>,
          geluSlope<T>,
          sumAndDot<T>,
          geluBackward<T>,
          addBias<T>,
          moments<T>,
          scaleShiftAct<T>,
          actMoments<T>,
          normBackward<T>,
          normTwiceMoments<T>,
          normTwice<T>,
          columnSums<T>,
          transpose<T>,
          interleave<T>,
          placesFirst<T>,
          placesLast<T>,
          sumOfRows<T>,
          rectify<T>,
          rectifyPool<T>,
          unpool<T>,
          codedSums<T>,
          rectifyBackward<T>,
          weightedSum<T>,
          weightedSumBackward<T>,
          frame<T>,
          depthwise<T>};
}

}  // namespace

extern const KernelTable table;
#define NAME_OF(variant) #variant
#define NAME(variant) NAME_OF(variant)
const KernelTable table = {NAME(KERNEL_VARIANT),
                           kLanes,
                           made<float>(),
                           made<BFloat16>(),
                           interleaveRows,
                           transposeTiles,
                           resize,
                           resizeBackward,
                           normalise,
                           normaliseBackward,
                           ssimScratch,
                           ssim,
                           depthwiseWeight,
                           panelProduct,
                           winogradInput,
                           winogradGradient,
                           winogradKernel,
                           winogradResult,
                           winogradKernelGradient};

}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
