#include "kernels/amx.h"

#include "kernels/select.h"

#ifdef BATCH_CAM_AMX

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace batch_cam {
namespace {

bool processorHasAmx() {
  unsigned int a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (d >> 22 & 1) != 0 && (d >> 24 & 1) != 0;  // AMX-BF16 and AMX-TILE
}

// Linux enables the tile registers for a process only on request.
bool enableAmxTiles() {
  constexpr long kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

// The operand of the instruction ldtilecfg.
struct alignas(64) Configuration {
  uint8_t palette = 1;
  uint8_t firstRow = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(Configuration) == 64, "the size that ldtilecfg reads");

constexpr int64_t kTileSizeA = kAmxTileRows * kAmxTileInner,
                  kTileSizeC = kAmxTileRows * kAmxTileRows;  // elements of a tile

// Rows x Columns tiles of c (at most 2 x 2), in registers 0 to 3; tiles of a are loaded to 4 and 5, those of b to 6
// and 7.
template <int Rows, int Columns>
void block(int64_t inner, const AmxOperands& of, float* below, bool add) {
  const int64_t cBytes = 64, aBytes = 64, bBytes = of.bStride * 2;
  if (add) {
    _tile_loadd(0, of.c, cBytes);
    if (Columns == 2) _tile_loadd(1, of.c + kTileSizeC, cBytes);
    if (Rows == 2) _tile_loadd(2, below, cBytes);
    if (Rows == 2 && Columns == 2) _tile_loadd(3, below + kTileSizeC, cBytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const BFloat16 *a = of.a, *b = of.b;
  for (int64_t k = 0; k < inner; ++k, a += kTileSizeA, b += kAmxTileRows * of.bStride) {
    _tile_loadd(4, a, aBytes);
    _tile_loadd(6, b, bBytes);
    _tile_dpbf16ps(0, 4, 6);
    if (Columns == 2) {
      _tile_loadd(7, b + kAmxTileInner, bBytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (Rows == 2) {
      _tile_loadd(5, a + of.aTiles * kTileSizeA, aBytes);
      _tile_dpbf16ps(2, 5, 6);
      if (Columns == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, of.c, cBytes);
  if (Columns == 2) _tile_stored(1, of.c + kTileSizeC, cBytes);
  if (Rows == 2) _tile_stored(2, below, cBytes);
  if (Rows == 2 && Columns == 2) _tile_stored(3, below + kTileSizeC, cBytes);
}

}  // namespace

bool machineHasAmx() {
  static const bool has = processorHasAmx() && enableAmxTiles();
  return has;
}

bool hasAmx() {
  static const bool has = isLevelAllowed("tiles") && machineHasAmx();
  return has;
}

AmxTiles::AmxTiles() {
  Configuration wanted;
  for (int tile = 0; tile < 8; ++tile) {
    wanted.bytes[tile] = 64;
    wanted.rows[tile] = kAmxTileRows;
  }
  _tile_storeconfig(before_);
  // GCC assumes that the instruction reads only eight bytes, and would remove the other assignments.
  __asm__ volatile("" : : "r"(&wanted) : "memory");
  _tile_loadconfig(&wanted);
}

AmxTiles::~AmxTiles() {
  __asm__ volatile("" : : "r"(before_) : "memory");
  _tile_loadconfig(before_);
}

void AmxTiles::multiply(const AmxShape& shape, const AmxOperands& of, bool add) {
  for (int64_t m = 0; m < shape.rows; m += 2)
    for (int64_t n = 0; n < shape.columns; n += 2) {
      const AmxOperands part{of.a + m * of.aTiles * kTileSizeA, of.aTiles, of.b + n * kAmxTileInner, of.bStride,
                             of.c + (m * shape.columns + n) * kTileSizeC};
      float* const below = part.c + shape.columns * kTileSizeC;
      const bool twoRows = m + 1 < shape.rows, twoColumns = n + 1 < shape.columns;
      if (twoRows && twoColumns) {
        block<2, 2>(shape.inner, part, below, add);
      } else if (twoRows) {
        block<2, 1>(shape.inner, part, below, add);
      } else if (twoColumns) {
        block<1, 2>(shape.inner, part, below, add);
      } else {
        block<1, 1>(shape.inner, part, below, add);
      }
    }
}

}  // namespace batch_cam

#else

namespace batch_cam {

bool machineHasAmx() { return false; }
bool hasAmx() { return false; }
AmxTiles::AmxTiles() = default;
AmxTiles::~AmxTiles() = default;
void AmxTiles::multiply(const AmxShape&, const AmxOperands&, bool) {}

}  // namespace batch_cam

#endif
