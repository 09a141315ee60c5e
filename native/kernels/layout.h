// Matrices laid out anew.
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// rows(row, both): the first row of each pair, and whether there is a second one.
template <typename Rows>
inline void eachPair(Extent extent, Rows rows) {
  for (int64_t row = 0; row < extent.rows; row += 2) rows(row, row + 1 < extent.rows);
}

// Where a pair of rows goes in the right operand of a product: each to its row, or with 16 bits channel c of the first
// next to channel c of the second.
struct Pair {
  Vector first;
  Vector second;
  bool both;
};

inline void putPair(Extent extent, int64_t row, int64_t c, const Pair& pair, int64_t lanes, float* to) {
  put(to + row * extent.channels + c, pair.first, lanes);
  if (pair.both) put(to + (row + 1) * extent.channels + c, pair.second, lanes);
}

inline void putPair(Extent extent, int64_t row, int64_t c, const Pair& pair, int64_t lanes, BFloat16* to) {
  const Words first = __builtin_convertvector(rounded(pair.first), Words);
  const Words second = __builtin_convertvector(rounded(pair.second), Words);
  put((float*)(to + row * extent.channels + 2 * c), (Vector)(first | (second << 16)), lanes);
}

// In tiles that fit the first cache.
template <typename T>
void transposeBlocks(Extent extent, const T* x, int64_t stride, T* out) {
  constexpr int64_t kTile = 32;
  for (int64_t row = 0; row < extent.rows; row += kTile) {
    const int64_t rowEnd = row + kTile < extent.rows ? row + kTile : extent.rows;
    for (int64_t c = 0; c < extent.channels; c += 8) {
      const int64_t end = c + 8 < extent.channels ? c + 8 : extent.channels;
      for (int64_t channel = c; channel < end; ++channel)
        for (int64_t r = row; r < rowEnd; ++r) out[channel * stride + r] = x[r * extent.channels + channel];
    }
  }
}

// The bits of up to a vector of numbers of 16 bits, each in a word of its own.
inline Words wordsOf(const BFloat16* from, int64_t lanes) { return (Words)take(from, lanes) >> 16; }

#if KERNEL_BYTES == 64
// A square of 16 words in registers, rows for columns.
inline void transposeSquare(__m512i rows[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

// 32 rows of 16 channels, row(i) the start of one: two rows make words, and words are turned.
template <typename Row>
inline void transposeBlock(Row row, int64_t stride, BFloat16* out) {
  __m512i words[16];
  for (int i = 0; i < 16; ++i) {
    const Words low = wordsOf(row(2 * i), 16), high = wordsOf(row(2 * i + 1), 16);
    words[i] = (__m512i)(low | (high << 16));
  }
  transposeSquare(words);
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * stride, words[i]);
}

inline void transpose16(Extent extent, const BFloat16* x, int64_t stride, BFloat16* out) {
  const int64_t rows = extent.rows / 32 * 32, channels = extent.channels / 16 * 16;
  for (int64_t row = 0; row < rows; row += 32)
    for (int64_t c = 0; c < channels; c += 16)
      transposeBlock([&](int i) { return x + (row + i) * extent.channels + c; }, stride, out + c * stride + row);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t c = channels; c < extent.channels; ++c) out[c * stride + row] = x[row * extent.channels + c];
  const Extent left{extent.rows - rows, extent.channels};
  transposeBlocks(left, x + rows * extent.channels, stride, out + rows);
}

inline void transposeTile(const BFloat16* const* rows, int64_t channel, BFloat16* out) {
  transposeBlock([&](int i) { return rows[i] + channel; }, 32, out);
}
#else
inline void transposeTile(const BFloat16* const* rows, int64_t channel, BFloat16* out) {
  for (int64_t c = 0; c < 16; ++c)
    for (int64_t row = 0; row < 32; ++row) out[c * 32 + row] = rows[row][channel + c];
}

inline void transpose16(Extent extent, const BFloat16* x, int64_t stride, BFloat16* out) {
  transposeBlocks(extent, x, stride, out);
}
#endif

template <typename T>
void transpose(Extent extent, const T* x, int64_t stride, T* out) {
  if constexpr (sizeof(T) == 2) {
    transpose16(extent, x, stride, out);
  } else {
    transposeBlocks(extent, x, stride, out);
  }
}

inline void putTwo(const BFloat16* first, const BFloat16* second, int64_t lanes, BFloat16* to) {
  put((float*)to, (Vector)(wordsOf(first, lanes) | (wordsOf(second, lanes) << 16)), lanes);
}

void interleaveRows(Extent pairsByChannels, int64_t channel, const BFloat16* const* rows, BFloat16* out) {
  const int64_t channels = pairsByChannels.channels;
  for (int64_t pair = 0; pair < pairsByChannels.rows; ++pair, rows += 2, out += 2 * channels)
    eachVector(channels, [&](int64_t c, int64_t lanes) {
      putTwo(rows[0] + channel + c, rows[1] + channel + c, lanes, out + 2 * c);
    });
}

void transposeTiles(int64_t channels, const BFloat16* const* rows, int64_t stride, BFloat16* out) {
  for (int64_t c = 0; c < channels; c += 16, out += stride) transposeTile(rows, c, out);
}

template <typename T>
void interleave(Extent extent, const T* x, T* out) {
  eachPair(extent, [&](int64_t row, bool both) {
    eachVector(extent.channels, [&](int64_t c, int64_t lanes) {
      const Vector first = take(x + row * extent.channels + c, lanes);
      const Vector second = both ? take(x + (row + 1) * extent.channels + c, lanes) : Vector{};
      putPair(extent, row, c, {first, second, both}, lanes, out);
    });
  });
}

template <typename T>
void sumOfRows(int64_t channels, const T* const* rows, int64_t count, T* out) {
  eachVector(channels, [&](int64_t c, int64_t lanes) {
    Vector sum{};
    for (int64_t i = 0; i < count; ++i) sum += take(rows[i] + c, lanes);
    put(out + c, sum, lanes);
  });
}

inline float asFloat(float value) { return value; }
inline float asFloat(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

#if KERNEL_BYTES == 64
inline Vector pick(const float* from, int64_t stride, int64_t lanes) {
  const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i at = _mm512_mullo_epi32(steps, _mm512_set1_epi32(static_cast<int>(stride)));
  return (Vector)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), firstLanes(lanes), at, from, 4);
}
#else
inline Vector pick(const float* from, int64_t stride, int64_t lanes) {
  Vector picked{};
  for (int64_t i = 0; i < lanes; ++i) picked[i] = from[i * stride];
  return picked;
}
#endif

// Whole vectors of `inner` at a time, picked from memory with a stride.
template <typename T>
void placesFirst(int64_t outer, Extent innerByPlaces, const float* from, T* to) {
  const int64_t inner = innerByPlaces.rows, places = innerByPlaces.channels;
  for (int64_t k = 0; k < outer; ++k, from += inner * places, to += inner * places)
    for (int64_t place = 0; place < places; ++place)
      eachVector(inner, [&](int64_t c, int64_t lanes) {
        put(to + place * inner + c, pick(from + c * places + place, places, lanes), lanes);
      });
}

template <typename T>
void placesLast(int64_t outer, Extent innerByPlaces, const T* from, const float* offset, float* to) {
  const int64_t inner = innerByPlaces.rows, places = innerByPlaces.channels;
  for (int64_t k = 0; k < outer; ++k, from += inner * places, to += inner * places)
    for (int64_t c = 0; c < inner; ++c) {
      const float added = offset == nullptr ? 0 : offset[k * inner + c];
      for (int64_t place = 0; place < places; ++place)
        to[c * places + place] = asFloat(from[place * inner + c]) + added;
    }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
