// ReLU, and ReLU followed by max-pooling over windows of 2x2 pixels, with their gradients.
//
// Caller: ops/conv_relu.cc. For the backward pass it keeps the one-byte codes of reluPool instead of the convolution's
// output: one byte for four values.
//
// The forward kernels compare the bit patterns of floats as integers: the results of a ReLU are not negative, and
// non-negative floats are ordered as their bit patterns. bfloat16 values are therefore never converted, and a vector
// holds twice as many of them.
#pragma once

#include "kernels/batch_norm.h"
#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// The integer types with the width of T, and vectors of them. `Bytes` has one byte for each lane.
template <typename T>
struct BitsOf;

template <>
struct BitsOf<float> {
  typedef int32_t Number;
  typedef int32_t Vector __attribute__((vector_size(KERNEL_BYTES)));
  typedef uint8_t Bytes __attribute__((vector_size(KERNEL_BYTES / 4)));
  static constexpr Number magnitude = 0x7fffffff, infinity = 0x7f800000;
};

template <>
struct BitsOf<BFloat16> {
  typedef int16_t Number;
  typedef int16_t Vector __attribute__((vector_size(KERNEL_BYTES)));
  typedef uint8_t Bytes __attribute__((vector_size(KERNEL_BYTES / 2)));
  static constexpr Number magnitude = 0x7fff, infinity = 0x7f80;
};

template <typename T>
using Bits = typename BitsOf<T>::Vector;

template <typename T>
constexpr int64_t kBitLanes = KERNEL_BYTES / static_cast<int64_t>(sizeof(T));

// Like forEachVector, for vectors of bits.
template <typename T, typename Body>
inline void forEachBits(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kBitLanes<T> <= count; i += kBitLanes<T>) body(i, kBitLanes<T>);
  if (i < count) body(i, count - i);
}

template <typename V, typename T>
inline V loadBitsOf(const T* from, int64_t lanes, int64_t all) {
  V value{};
  if (lanes == all) {
    memcpy(&value, from, sizeof value);
  } else {
    memcpy(&value, from, static_cast<size_t>(lanes) * sizeof(T));
  }
  return value;
}

template <typename V, typename T>
inline void storeBitsOf(T* to, V value, int64_t lanes, int64_t all) {
  if (lanes == all) {
    memcpy(to, &value, sizeof value);
  } else {
    memcpy(to, &value, static_cast<size_t>(lanes) * sizeof(T));
  }
}

template <typename T>
inline Bits<T> loadBits(const T* from, int64_t lanes) {
  return loadBitsOf<Bits<T>>(from, lanes, kBitLanes<T>);
}

template <typename T>
inline void storeBits(T* to, Bits<T> bits, int64_t lanes) {
  storeBitsOf(to, bits, lanes, kBitLanes<T>);
}

// All lanes equal to `value`.
template <typename T>
inline Bits<T> everywhere(int value) {
  return Bits<T>{} + static_cast<typename BitsOf<T>::Number>(value);
}

template <typename T>
inline Bits<T> loadCodes(const uint8_t* from, int64_t lanes) {
  return __builtin_convertvector(loadBitsOf<typename BitsOf<T>::Bytes>(from, lanes, kBitLanes<T>), Bits<T>);
}

// max(x, 0). NaN becomes the positive NaN, whose bits are above those of all numbers, so that pooling passes it on.
template <typename T>
inline Bits<T> reluBits(Bits<T> x) {
  const Bits<T> magnitude = x & BitsOf<T>::magnitude;
  return (x & (x > 0)) | (magnitude & (magnitude > BitsOf<T>::infinity));
}

template <typename T>
void relu(int64_t count, T* x) {
  forEachBits<T>(count,
                 [&](int64_t i, int64_t lanes) { storeBits<T>(x + i, reluBits<T>(loadBits(x + i, lanes)), lanes); });
}

// Among equal values the first is taken as the maximum, as in libtorch's max_pool2d after a ReLU.
template <typename T>
void reluPool(Extent pooled, const T* upper, const T* lower, T* y, uint8_t* codes) {
  const int64_t channels = pooled.channels;
  for (int64_t pixel = 0; pixel < pooled.rows; ++pixel) {
    const T* window[] = {upper, upper + channels, lower, lower + channels};
    forEachBits<T>(channels, [&](int64_t c, int64_t lanes) {
      Bits<T> most = reluBits<T>(loadBits(window[0] + c, lanes)), code{};
      for (int i = 1; i < kWindowPixels; ++i) {
        const Bits<T> x = reluBits<T>(loadBits(window[i] + c, lanes));
        const Bits<T> larger = x > most;
        most = (x & larger) | (most & ~larger);
        code = (everywhere<T>(i) & larger) | (code & ~larger);
      }
      storeBits<T>(y + c, most, lanes);
      if (codes == nullptr) return;
      const Bits<T> none = most == 0;
      const Bits<T> kept = (everywhere<T>(kWindowPixels) & none) | (code & ~none);
      storeBitsOf(codes + c, __builtin_convertvector(kept, typename BitsOf<T>::Bytes), lanes, kBitLanes<T>);
    });
    upper += 2 * channels;
    lower += 2 * channels;
    y += channels;
    if (codes != nullptr) codes += channels;
  }
}

template <typename T>
void reluPoolBackward(Extent pooled, const T* dy, const uint8_t* codes, T* upper, T* lower) {
  const int64_t channels = pooled.channels;
  for (int64_t pixel = 0; pixel < pooled.rows; ++pixel) {
    T* window[] = {upper, upper + channels, lower, lower + channels};
    forEachBits<T>(channels, [&](int64_t c, int64_t lanes) {
      const Bits<T> gradient = loadBits(dy + c, lanes), code = loadCodes<T>(codes + c, lanes);
      for (int i = 0; i < kWindowPixels; ++i) storeBits<T>(window[i] + c, gradient & (code == everywhere<T>(i)), lanes);
    });
    upper += 2 * channels;
    lower += 2 * channels;
    dy += channels;
    codes += channels;
  }
}

template <typename T>
void reluPoolSums(Extent pooled, const T* dy, const uint8_t* codes, float* sum) {
  typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
  forEachColumnBlock(pooled.channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector total[kWidth] = {};
    for (int64_t row = 0; row < pooled.rows; ++row)
      for (int i = 0; i < kWidth; ++i) {
        const int64_t at = row * pooled.channels + c + i * kLanes;
        const Words code = __builtin_convertvector(loadBitsOf<Bytes>(codes + at, lanes, kLanes), Words);
        total[i] += select((Words)(code < kWindowPixels), load(dy + at, lanes), splat(0));
      }
    for (int i = 0; i < kWidth; ++i) store(sum + c + i * kLanes, load(sum + c + i * kLanes, lanes) + total[i], lanes);
  });
}

template <typename T>
void reluBackward(Extent extent, const T* dy, const T* y, T* dz, float* sum) {
  forEachColumnBlock(extent.channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector total[kWidth] = {};
    for (int64_t row = 0; row < extent.rows; ++row)
      for (int i = 0; i < kWidth; ++i) {
        const int64_t at = row * extent.channels + c + i * kLanes;
        const Vector gradient = reluGradient(dy, y, at, lanes);
        store(dz + at, gradient, lanes);
        total[i] += gradient;
      }
    for (int i = 0; i < kWidth; ++i) store(sum + c + i * kLanes, load(sum + c + i * kLanes, lanes) + total[i], lanes);
  });
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
