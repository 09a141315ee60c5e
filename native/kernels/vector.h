// Vectors of floats, as wide as the instruction set that this file is compiled for: 16, 8 or 4 lanes. All kernels are
// written with them, by the vector extensions of GCC and Clang, so that one source serves AVX-512, AVX2 and the others.
//
// A kernel header must not include libtorch or templates of the standard library: they define inline functions, and
// the linker keeps one copy of such a function for the whole addon. If that copy came from the file compiled for
// AVX-512, the addon would crash on processors without it.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#define KERNEL_BYTES 64
#elif defined(__AVX2__)
#define KERNEL_BYTES 32
#else
#define KERNEL_BYTES 16
#endif

#include "kernels/bfloat16.h"

namespace batch_cam {
namespace KERNEL_VARIANT {

typedef float Vector __attribute__((vector_size(KERNEL_BYTES)));
typedef uint32_t Words __attribute__((vector_size(KERNEL_BYTES)));       // the bits of a Vector's lanes
typedef uint16_t Halves __attribute__((vector_size(KERNEL_BYTES / 2)));  // bfloat16 values, one for each lane
constexpr int64_t kLanes = KERNEL_BYTES / 4;

// All lanes equal to `value`. It is written as a difference because value - 0 is always value, which the compiler can
// simplify; value + 0 is not, for value = -0.
inline Vector splat(float value) { return value - Vector{}; }

inline Vector load(const float* from) {
  Vector value;
  memcpy(&value, from, sizeof value);
  return value;
}

// Converts bfloat16 to float32, which is exact.
inline Vector load(const BFloat16* from) {
  Halves halves;
  memcpy(&halves, from, sizeof halves);
  return (Vector)(__builtin_convertvector(halves, Words) << 16);
}

inline void store(float* to, Vector value) { memcpy(to, &value, sizeof value); }

// Rounds float32 to bfloat16: to nearest, ties to even. NaN stays NaN. At the level avx512bf16 this is one instruction
// instead of ten; it rounds values below 2^-126 to zero.
#ifdef __AVX512BF16__
inline Halves rounded(Vector value) { return (Halves)_mm512_cvtneps_pbh((__m512)value); }
#else
inline Halves rounded(Vector value) {
  const Words bits = (Words)value;
  const Words nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words isNaN = (Words)(value != value);
  return __builtin_convertvector((nearest & ~isNaN) | (isNaN & 0x7fc0), Halves);
}
#endif

inline void store(BFloat16* to, Vector value) {
  const Halves halves = rounded(value);
  memcpy(to, &halves, sizeof halves);
}

// Loads `count` < kLanes values; the other lanes are zero. No memory beyond the `count` values is read.
template <typename T>
inline Vector loadFirst(const T* from, int64_t count) {
  T buffer[kLanes];
  memset(buffer, 0, sizeof buffer);
  memcpy(buffer, from, static_cast<size_t>(count) * sizeof(T));
  return load(buffer);
}

// Stores the first `count` < kLanes lanes; no memory beyond them is written.
template <typename T>
inline void storeFirst(T* to, Vector value, int64_t count) {
  T buffer[kLanes];
  store(buffer, value);
  memcpy(to, buffer, static_cast<size_t>(count) * sizeof(T));
}

#if KERNEL_BYTES == 64
// The same with the masked instructions of AVX-512.
inline __mmask16 firstLanes(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }
inline Vector loadFirst(const float* from, int64_t count) {
  return (Vector)_mm512_maskz_loadu_ps(firstLanes(count), from);
}
inline Vector loadFirst(const BFloat16* from, int64_t count) {
  const Halves halves = (Halves)_mm256_maskz_loadu_epi16(firstLanes(count), from);
  return (Vector)(__builtin_convertvector(halves, Words) << 16);
}
inline void storeFirst(float* to, Vector value, int64_t count) {
  _mm512_mask_storeu_ps(to, firstLanes(count), (__m512)value);
}
inline void storeFirst(BFloat16* to, Vector value, int64_t count) {
  const Halves halves = rounded(value);
  _mm256_mask_storeu_epi16(to, firstLanes(count), (__m256i)halves);
}
#endif

// An integer as a type, so that a generic lambda can use it as a template argument.
template <int Value>
struct Constant {
  static constexpr int value = Value;
};

// Calls body(index, lanes) for each vector of a row of `count` values: lanes is kLanes, and less for the last one if
// `count` is not a multiple of kLanes.
template <typename Body>
inline void forEachVector(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, count - i);
}

// Loads and stores `lanes` values, as forEachVector counts them.
template <typename T>
inline Vector load(const T* from, int64_t lanes) {
  return lanes == kLanes ? load(from) : loadFirst(from, lanes);
}

template <typename T>
inline void store(T* to, Vector value, int64_t lanes) {
  if (lanes == kLanes) {
    store(to, value);
  } else {
    storeFirst(to, value, lanes);
  }
}

// The sum of all lanes, added pairwise.
#if KERNEL_BYTES == 64
inline float laneSum(Vector value) { return _mm512_reduce_add_ps((__m512)value); }
#else
inline float laneSum(Vector value) {
  float lanes[kLanes];
  memcpy(lanes, &value, sizeof lanes);
  for (int64_t width = kLanes / 2; width > 0; width /= 2)
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}
#endif

// For each lane: `yes` if all bits of the mask are set, `no` if none is.
inline Vector select(Words mask, Vector yes, Vector no) { return (Vector)(((Words)yes & mask) | ((Words)no & ~mask)); }

// The first `lanes` lanes; the others are zero.
#if KERNEL_BYTES == 64
inline Vector firstOf(Vector value, int64_t lanes) {
  return lanes == kLanes ? value : (Vector)_mm512_maskz_mov_ps(firstLanes(lanes), (__m512)value);
}
#else
inline Vector firstOf(Vector value, int64_t lanes) {
  for (int64_t i = lanes; i < kLanes; ++i) value[i] = 0;
  return value;
}
#endif

// A mask with all bits of the first `count` lanes set.
inline Words laneMask(int64_t count) {
  Words mask{};
  for (int64_t i = 0; i < kLanes; ++i) mask[i] = i < count ? ~0u : 0u;
  return mask;
}

// max(x, 0). NaN stays NaN.
inline Vector reluOf(Vector x) { return select((Words)(x < splat(0)), splat(0), x); }

struct Gelu {
  Vector value;
  Vector derivative;
  Vector second;
};

// gelu(x) = x Φ(x), its derivative Φ(x) + x φ(x) and its second derivative (2 - x²) φ(x), where Φ and φ are the
// distribution function and the density of the standard normal distribution. e^(-x²/2) and Φ(-|x|) are given.
inline Gelu geluOf(Vector x, Vector density, Vector tail) {
  const Vector cumulative = select((Words)(x < splat(0)), tail, 1.0f - tail);
  const Vector normal = density * 0.398942280401f;
  return {x * cumulative, cumulative + x * normal, (2.0f - x * x) * normal};
}

#if KERNEL_BYTES == 64
// max(x, least), which is NaN if x is.
inline Vector atLeast(Vector x, float least) { return (Vector)_mm512_max_ps(_mm512_set1_ps(least), (__m512)x); }
inline Vector atMost(Vector x, float most) { return (Vector)_mm512_min_ps(_mm512_set1_ps(most), (__m512)x); }

inline Vector nearestInteger(Vector x) {
  return (Vector)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// x 2^n for an integer n.
inline Vector scaledByPower(Vector x, Vector n) { return (Vector)_mm512_scalef_ps((__m512)x, (__m512)n); }

// 1 / x for positive x, within about one unit in the last place. It is finite for an infinite x too.
inline Vector reciprocal(Vector x) {
  const Vector bounded = atMost(x, 1e18f), rough = (Vector)_mm512_rcp14_ps((__m512)bounded);
  return rough * (2.0f - bounded * rough);
}
#else
inline Vector atLeast(Vector x, float least) { return select((Words)(x < splat(least)), splat(least), x); }
constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
inline Vector nearestInteger(Vector x) { return (x + kRoundingShift) - kRoundingShift; }
inline Vector scaledByPower(Vector x, Vector n) { return (Vector)((Words)x + ((Words)(n + kRoundingShift) << 23)); }
inline Vector reciprocal(Vector x) { return 1.0f / x; }
#endif

// e^x for x <= 0, within about one unit in the last place. With x = n ln 2 + r, e^r is computed by a polynomial with
// the coefficients of Cephes' expf.
inline Vector exponential(Vector x) {
  const Vector clamped = atLeast(x, -87.0f);
  const Vector n = nearestInteger(clamped * 1.44269504088896341f);
  const Vector r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  Vector p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return scaledByPower(p, n);
}

// gelu from e^(-x²/2). Φ(-|x|) = e^(-x²/2) t P(t) with t = 1 / (1 + 0.28 |x|). P is the minimax polynomial of its
// degree; its largest error in Φ is 1e-8, a sixth of float32's rounding error.
inline Gelu geluByDensity(Vector x, Vector density) {
  const Vector magnitude = (Vector)((Words)x & 0x7fffffff);
  const Vector t = reciprocal(magnitude * 0.28f + 1.0f);
  Vector p = splat(-0.1058088857f);
  p = p * t + 0.3898766394f;
  p = p * t - 0.2369977365f;
  p = p * t + 0.2689135979f;
  p = p * t + 0.06749537772f;
  p = p * t + 0.1165209979f;
  return geluOf(x, density, p * t * density);
}

// gelu for results in float32.
inline Gelu gelu(Vector x, float) { return geluByDensity(x, exponential(x * x * -0.5f)); }

// gelu for results that are rounded to bfloat16, with e^(-x²/2) = 2^n 2^f and a polynomial for 2^f with a relative
// error of 2.6e-6. An error of 1e-4 would be far below the rounding of one value, but it has the same sign for all near
// values, so that it does not average out in the gradient of a weight, and rounding does.
inline Gelu gelu(Vector x, BFloat16) {
  const Vector power = atLeast(x * x * -0.72134752f, -125.0f);
  const Vector n = nearestInteger(power), f = power - n;
  const Vector p = (((f * 0.00957012f + 0.05591794f) * f + 0.24024745f) * f + 0.69312181f) * f + 0.99999926f;
  return geluByDensity(x, scaledByPower(p, n));
}

}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
