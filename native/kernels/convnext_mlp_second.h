// The second derivative of ConvNeXt-V2's MLP between its matrix products; ops/convnext_mlp_second.cc has the formula.
//
// Caller: ops/convnext_mlp_second.cc, on buffers that stay in the second-level cache. GRN needs sums over the pixels of
// a sample, so that the work is two passes: one that forms the sums, and one that uses the factors made of them.
#pragma once

#include "kernels/convnext_mlp.h"
#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

template <typename T>
void geluTangent(Extent extent, const float* bias, const float* u, float* h, float* dh, T* derivative, T* bend,
                 float* sums) {
  const int64_t channels = extent.channels;
  const auto add = [](float* to, Vector value, int64_t lanes) { store(to, load(to, lanes) + value, lanes); };
  for (int64_t row = 0; row < extent.rows; ++row) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const int64_t at = row * channels + c;
      const Gelu made = gelu(load(h + at, lanes) + load(bias + c, lanes), T{});
      const Vector direction = load(dh + at, lanes), gradient = load(u + at, lanes);
      const Vector dg = made.derivative * direction;
      store(h + at, made.value, lanes);
      store(dh + at, dg, lanes);
      store(derivative + at, made.derivative, lanes);
      store(bend + at, made.second * direction, lanes);
      add(sums + c, gradient * made.value, lanes);
      add(sums + channels + c, gradient * dg, lanes);
      add(sums + 2 * channels + c, made.value * dg, lanes);
    });
  }
}

// The contribution of one row of grnGeluSecond at some channels.
struct SecondOrderRow {
  Vector ofHidden;
  Vector ofTangent;
  Vector y;
};

template <typename T>
inline SecondOrderRow secondOrderAt(const MlpSecond<T>& of, int64_t at, int64_t factors, int64_t lanes) {
  const Vector u = load(of.u + at, lanes), g = load(of.g + at, lanes), dg = load(of.dg + at, lanes);
  const Vector scale = load(of.scale + factors, lanes), moved = load(of.scaleTangent + factors, lanes);
  const Vector coefficient = load(of.coefficient + factors, lanes), derivative = load(of.derivative + at, lanes);
  const Vector first = u * scale + g * coefficient;
  const Vector second = u * moved + dg * coefficient + g * load(of.coefficientOfNorm + factors, lanes);
  return {derivative * second + load(of.bend + at, lanes) * first, derivative * first, dg * scale + g * moved};
}

template <typename T>
void grnGeluSecond(Extent extent, int64_t pixels, const MlpSecond<T>& of, float* sum) {
  const int64_t channels = extent.channels;
  forEachRowPair(extent, [&](int64_t row, bool both) {
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      const auto one = [&](int64_t which) {
        const int64_t at = which * channels + c;
        const SecondOrderRow made = secondOrderAt(of, at, which / pixels * channels + c, lanes);
        store(of.ofHidden + at, made.ofHidden, lanes);
        store(of.ofTangent + at, made.ofTangent, lanes);
        store(of.y + at, made.y, lanes);
        return made;
      };
      const SecondOrderRow first = one(row), second = both ? one(row + 1) : SecondOrderRow{};
      storeExtraPair(extent, row, c, {first.ofHidden, second.ofHidden, both}, lanes, of.ofHiddenPairs);
      storeExtraPair(extent, row, c, {first.ofTangent, second.ofTangent, both}, lanes, of.ofTangentPairs);
      storeExtraPair(extent, row, c, {first.y, second.y, both}, lanes, of.yPairs);
      store(sum + c, load(sum + c, lanes) + first.ofHidden + second.ofHidden, lanes);
    });
  });
}

template <typename T>
void convert(int64_t count, const float* from, T* to) {
  forEachVector(count, [&](int64_t i, int64_t lanes) { store(to + i, load(from + i, lanes), lanes); });
}

template <typename T>
void widen(int64_t count, const T* from, float* to) {
  forEachVector(count, [&](int64_t i, int64_t lanes) { store(to + i, load(from + i, lanes), lanes); });
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
