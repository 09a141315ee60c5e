// Copies of matrices and weights in other memory layouts: transposed, with pairs of rows interleaved, and weights with
// their kernel positions first or last. Products read their operands in these layouts.
//
// Callers: ops/convnext_mlp_*.cc and ops/convolution_passes.cc (transpose, interleavePairs, sumOfRows), ops/positions.h
// (positionsFirst, positionsLast), ops/amx_weight_gradient.cc (interleaveRowPairs, transposeToAmxTiles).
#pragma once

#include "kernels/table.h"
#include "kernels/vector.h"

namespace batch_cam {
namespace KERNEL_VARIANT {
namespace {

// Calls rows(row, both) for each pair of rows: `row` is the first of the two, and `both` says whether there is a
// second.
template <typename Rows>
inline void forEachRowPair(Extent extent, Rows rows) {
  for (int64_t row = 0; row < extent.rows; row += 2) rows(row, row + 1 < extent.rows);
}

// One vector of each row of a pair. storePair writes them to the right operand of a product (see
// ops/small_product.h): in float32 each to its own row; in bfloat16 interleaved, so that channel c of the first row is
// next to channel c of the second, because the processor's bfloat16 instructions multiply such pairs.
struct RowPair {
  Vector first;
  Vector second;
  bool both;
};

inline void storePair(Extent extent, int64_t row, int64_t c, const RowPair& pair, int64_t lanes, float* to) {
  store(to + row * extent.channels + c, pair.first, lanes);
  if (pair.both) store(to + (row + 1) * extent.channels + c, pair.second, lanes);
}

inline void storePair(Extent extent, int64_t row, int64_t c, const RowPair& pair, int64_t lanes, BFloat16* to) {
#ifdef __AVX512BF16__
  const __m512i order = (__m512i)(__v32hi){0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                           8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)pair.second, (__m512)pair.first);
  const Vector mixed = (Vector)_mm512_permutexvar_epi16(order, both);
  store((float*)(to + row * extent.channels + 2 * c), mixed, lanes);
#else
  const Words first = __builtin_convertvector(rounded(pair.first), Words);
  const Words second = __builtin_convertvector(rounded(pair.second), Words);
  store((float*)(to + row * extent.channels + 2 * c), (Vector)(first | (second << 16)), lanes);
#endif
}

// Transposes blocks that fit in the first-level cache.
template <typename T>
void transposeBlocks(Extent extent, const T* x, int64_t stride, T* out) {
  constexpr int64_t kBlockRows = 32;
  for (int64_t row = 0; row < extent.rows; row += kBlockRows) {
    const int64_t rowEnd = row + kBlockRows < extent.rows ? row + kBlockRows : extent.rows;
    for (int64_t c = 0; c < extent.channels; c += 8) {
      const int64_t end = c + 8 < extent.channels ? c + 8 : extent.channels;
      for (int64_t channel = c; channel < end; ++channel)
        for (int64_t r = row; r < rowEnd; ++r) out[channel * stride + r] = x[r * extent.channels + channel];
    }
  }
}

// The bits of up to a vector of bfloat16 values, each in a 32-bit word.
inline Words wordsOf(const BFloat16* from, int64_t lanes) { return (Words)load(from, lanes) >> 16; }

#if KERNEL_BYTES == 64
// Transposes a matrix of 16x16 words in registers.
inline void transpose16x16(__m512i rows[16]) {
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

// Transposes 32 rows of 16 bfloat16 channels; row(i) points to row i. Two rows are first combined to words, so that one
// transposition of 16x16 words moves pairs of bfloat16 values.
template <typename Row>
inline void transpose32Rows(Row row, int64_t stride, BFloat16* out) {
  __m512i words[16];
  for (int i = 0; i < 16; ++i) {
    const Words low = wordsOf(row(2 * i), 16), high = wordsOf(row(2 * i + 1), 16);
    words[i] = (__m512i)(low | (high << 16));
  }
  transpose16x16(words);
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * stride, words[i]);
}

inline void transposeBFloat16(Extent extent, const BFloat16* x, int64_t stride, BFloat16* out) {
  const int64_t rows = extent.rows / 32 * 32, channels = extent.channels / 16 * 16;
  for (int64_t row = 0; row < rows; row += 32)
    for (int64_t c = 0; c < channels; c += 16)
      transpose32Rows([&](int i) { return x + (row + i) * extent.channels + c; }, stride, out + c * stride + row);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t c = channels; c < extent.channels; ++c) out[c * stride + row] = x[row * extent.channels + c];
  const Extent left{extent.rows - rows, extent.channels};
  transposeBlocks(left, x + rows * extent.channels, stride, out + rows);
}

// Transposes tiles of 16 rows and 16 channels in registers.
inline void transposeFloat32(Extent extent, const float* x, int64_t stride, float* out) {
  const int64_t rows = extent.rows / 16 * 16, channels = extent.channels / 16 * 16;
  for (int64_t row = 0; row < rows; row += 16)
    for (int64_t c = 0; c < channels; c += 16) {
      __m512i tile[16];
      for (int i = 0; i < 16; ++i) tile[i] = _mm512_loadu_si512(x + (row + i) * extent.channels + c);
      transpose16x16(tile);
      for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + (c + i) * stride + row, tile[i]);
    }
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t c = channels; c < extent.channels; ++c) out[c * stride + row] = x[row * extent.channels + c];
  const Extent left{extent.rows - rows, extent.channels};
  transposeBlocks(left, x + rows * extent.channels, stride, out + rows);
}

inline void transposeTile(const BFloat16* const* rows, int64_t channel, BFloat16* out) {
  transpose32Rows([&](int i) { return rows[i] + channel; }, 32, out);
}
#else
inline void transposeTile(const BFloat16* const* rows, int64_t channel, BFloat16* out) {
  for (int64_t c = 0; c < 16; ++c)
    for (int64_t row = 0; row < 32; ++row) out[c * 32 + row] = rows[row][channel + c];
}

inline void transposeFloat32(Extent extent, const float* x, int64_t stride, float* out) {
  transposeBlocks(extent, x, stride, out);
}

inline void transposeBFloat16(Extent extent, const BFloat16* x, int64_t stride, BFloat16* out) {
  transposeBlocks(extent, x, stride, out);
}
#endif

template <typename T>
void transpose(Extent extent, const T* x, int64_t stride, T* out) {
  if constexpr (sizeof(T) == 2) {
    transposeBFloat16(extent, x, stride, out);
  } else {
    transposeFloat32(extent, x, stride, out);
  }
}

// Interleaves one vector of each of two rows.
inline void storeTwoRows(const BFloat16* first, const BFloat16* second, int64_t lanes, BFloat16* to) {
  store((float*)to, (Vector)(wordsOf(first, lanes) | (wordsOf(second, lanes) << 16)), lanes);
}

void interleaveRowPairs(Extent pairsByChannels, int64_t channel, const BFloat16* const* rows, BFloat16* out) {
  const int64_t channels = pairsByChannels.channels;
  for (int64_t pair = 0; pair < pairsByChannels.rows; ++pair, rows += 2, out += 2 * channels)
    forEachVector(channels, [&](int64_t c, int64_t lanes) {
      storeTwoRows(rows[0] + channel + c, rows[1] + channel + c, lanes, out + 2 * c);
    });
}

void transposeToAmxTiles(int64_t channels, const BFloat16* const* rows, int64_t stride, BFloat16* out) {
  for (int64_t c = 0; c < channels; c += 16, out += stride) transposeTile(rows, c, out);
}

template <typename T>
void interleavePairs(Extent extent, const T* x, T* out) {
  forEachRowPair(extent, [&](int64_t row, bool both) {
    forEachVector(extent.channels, [&](int64_t c, int64_t lanes) {
      const Vector first = load(x + row * extent.channels + c, lanes);
      const Vector second = both ? load(x + (row + 1) * extent.channels + c, lanes) : Vector{};
      storePair(extent, row, c, {first, second, both}, lanes, out);
    });
  });
}

template <typename T>
void sumOfRows(int64_t channels, const T* const* rows, int64_t count, T* out) {
  forEachVector(channels, [&](int64_t c, int64_t lanes) {
    Vector sum{};
    for (int64_t i = 0; i < count; ++i) sum += load(rows[i] + c, lanes);
    store(out + c, sum, lanes);
  });
}

inline float asFloat(float value) { return value; }
inline float asFloat(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

// `lanes` floats, `stride` apart; the other lanes are zero.
#if KERNEL_BYTES == 64
inline Vector gather(const float* from, int64_t stride, int64_t lanes) {
  const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i at = _mm512_mullo_epi32(steps, _mm512_set1_epi32(static_cast<int>(stride)));
  return (Vector)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), firstLanes(lanes), at, from, 4);
}
#else
inline Vector gather(const float* from, int64_t stride, int64_t lanes) {
  Vector picked{};
  for (int64_t i = 0; i < lanes; ++i) picked[i] = from[i * stride];
  return picked;
}
#endif

// Gathers whole vectors of inner channels, which are `positions` floats apart.
template <typename T>
void positionsFirst(int64_t outer, Extent innerByPositions, const float* from, T* to) {
  const int64_t inner = innerByPositions.rows, positions = innerByPositions.channels;
  for (int64_t k = 0; k < outer; ++k, from += inner * positions, to += inner * positions)
    for (int64_t position = 0; position < positions; ++position)
      forEachVector(inner, [&](int64_t c, int64_t lanes) {
        store(to + position * inner + c, gather(from + c * positions + position, positions, lanes), lanes);
      });
}

template <typename T>
void positionsLast(int64_t outer, Extent innerByPositions, const T* from, const float* offset, float* to) {
  const int64_t inner = innerByPositions.rows, positions = innerByPositions.channels;
  for (int64_t k = 0; k < outer; ++k, from += inner * positions, to += inner * positions)
    for (int64_t c = 0; c < inner; ++c) {
      const float added = offset == nullptr ? 0 : offset[k * inner + c];
      for (int64_t position = 0; position < positions; ++position)
        to[c * positions + position] = asFloat(from[position * inner + c]) + added;
    }
}

}  // namespace
}  // namespace KERNEL_VARIANT
}  // namespace batch_cam
