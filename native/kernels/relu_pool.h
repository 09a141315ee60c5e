// ReLU, and ReLU with a maximum over squares of 2x2 pixels, on the bits of numbers: what a ReLU leaves is not negative,
// and such numbers are ordered as their bits are.
#pragma once

#include "kernels/batch_norm.h"
#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

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

// body(channel, lanes): whole vectors first, then what is left.
template <typename T, typename Body>
inline void eachBits(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kBitLanes<T> <= count; i += kBitLanes<T>) body(i, kBitLanes<T>);
  if (i < count) body(i, count - i);
}

template <typename V, typename T>
inline V takeBits(const T* from, int64_t lanes, int64_t all) {
  V value{};
  if (lanes == all) {
    memcpy(&value, from, sizeof value);
  } else {
    memcpy(&value, from, static_cast<size_t>(lanes) * sizeof(T));
  }
  return value;
}

template <typename V, typename T>
inline void putBits(T* to, V value, int64_t lanes, int64_t all) {
  if (lanes == all) {
    memcpy(to, &value, sizeof value);
  } else {
    memcpy(to, &value, static_cast<size_t>(lanes) * sizeof(T));
  }
}

template <typename T>
inline Bits<T> bitsAt(const T* from, int64_t lanes) {
  return takeBits<Bits<T>>(from, lanes, kBitLanes<T>);
}

template <typename T>
inline void putBitsAt(T* to, Bits<T> bits, int64_t lanes) {
  putBits(to, bits, lanes, kBitLanes<T>);
}

template <typename T>
inline Bits<T> everywhere(int value) {
  return Bits<T>{} + static_cast<typename BitsOf<T>::Number>(value);
}

template <typename T>
inline Bits<T> codesAt(const uint8_t* from, int64_t lanes) {
  return __builtin_convertvector(takeBits<typename BitsOf<T>::Bytes>(from, lanes, kBitLanes<T>), Bits<T>);
}

// max(x, 0); NaN stays, above all numbers.
template <typename T>
inline Bits<T> rectifiedBits(Bits<T> x) {
  const Bits<T> magnitude = x & BitsOf<T>::magnitude;
  return (x & (x > 0)) | (magnitude & (magnitude > BitsOf<T>::infinity));
}

template <typename T>
void rectify(int64_t count, T* x) {
  eachBits<T>(count,
              [&](int64_t i, int64_t lanes) { putBitsAt<T>(x + i, rectifiedBits<T>(bitsAt(x + i, lanes)), lanes); });
}

// As libtorch's max_pool2d of a ReLU does: the first of equal ones is the largest.
template <typename T>
void rectifyPool(Extent pooled, const T* upper, const T* lower, T* y, uint8_t* codes) {
  const int64_t channels = pooled.channels;
  for (int64_t pixel = 0; pixel < pooled.rows; ++pixel) {
    const T* corners[] = {upper, upper + channels, lower, lower + channels};
    eachBits<T>(channels, [&](int64_t c, int64_t lanes) {
      Bits<T> most = rectifiedBits<T>(bitsAt(corners[0] + c, lanes)), code{};
      for (int i = 1; i < kCorners; ++i) {
        const Bits<T> x = rectifiedBits<T>(bitsAt(corners[i] + c, lanes));
        const Bits<T> larger = x > most;
        most = (x & larger) | (most & ~larger);
        code = (everywhere<T>(i) & larger) | (code & ~larger);
      }
      putBitsAt<T>(y + c, most, lanes);
      if (codes == nullptr) return;
      const Bits<T> none = most == 0;
      const Bits<T> kept = (everywhere<T>(kCorners) & none) | (code & ~none);
      putBits(codes + c, __builtin_convertvector(kept, typename BitsOf<T>::Bytes), lanes, kBitLanes<T>);
    });
    upper += 2 * channels;
    lower += 2 * channels;
    y += channels;
    if (codes != nullptr) codes += channels;
  }
}

template <typename T>
void unpool(Extent pooled, const T* dy, const uint8_t* codes, T* upper, T* lower) {
  const int64_t channels = pooled.channels;
  for (int64_t pixel = 0; pixel < pooled.rows; ++pixel) {
    T* corners[] = {upper, upper + channels, lower, lower + channels};
    eachBits<T>(channels, [&](int64_t c, int64_t lanes) {
      const Bits<T> gradient = bitsAt(dy + c, lanes), code = codesAt<T>(codes + c, lanes);
      for (int i = 0; i < kCorners; ++i) putBitsAt<T>(corners[i] + c, gradient & (code == everywhere<T>(i)), lanes);
    });
    upper += 2 * channels;
    lower += 2 * channels;
    dy += channels;
    codes += channels;
  }
}

template <typename T>
void codedSums(Extent pooled, const T* dy, const uint8_t* codes, float* sum) {
  typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
  eachBlock(pooled.channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector total[kWidth] = {};
    for (int64_t row = 0; row < pooled.rows; ++row)
      for (int i = 0; i < kWidth; ++i) {
        const int64_t at = row * pooled.channels + c + i * kLanes;
        const Words code = __builtin_convertvector(takeBits<Bytes>(codes + at, lanes, kLanes), Words);
        total[i] += choose((Words)(code < kCorners), take(dy + at, lanes), splat(0));
      }
    for (int i = 0; i < kWidth; ++i) put(sum + c + i * kLanes, take(sum + c + i * kLanes, lanes) + total[i], lanes);
  });
}

template <typename T>
void rectifyBackward(Extent extent, const T* dy, const T* y, T* dz, float* sum) {
  eachBlock(extent.channels, [&](auto width, int64_t c, int64_t lanes) {
    constexpr int kWidth = decltype(width)::value;
    Vector total[kWidth] = {};
    for (int64_t row = 0; row < extent.rows; ++row)
      for (int i = 0; i < kWidth; ++i) {
        const int64_t at = row * extent.channels + c + i * kLanes;
        const Vector gradient = passed(dy, y, at, lanes);
        put(dz + at, gradient, lanes);
        total[i] += gradient;
      }
    for (int i = 0; i < kWidth; ++i) put(sum + c + i * kLanes, take(sum + c + i * kLanes, lanes) + total[i], lanes);
  });
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
