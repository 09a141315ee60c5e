// Products of bfloat16 matrices in the tile registers of AMX, for sizes that fill whole tiles.
#pragma once

#include <stdint.h>

#include "kernels/bfloat16.h"

namespace batch_cam {

constexpr int64_t kTileSide = 16;   // rows and columns of a tile of sums
constexpr int64_t kTileInner = 32;  // products that go into a sum at once

// In whole tiles.
struct TileShape {
  int64_t rows;
  int64_t columns;
  int64_t inner;
};

// Tiles of a and c are whole pieces of memory; b lies as its rows do.
struct TileOperands {
  const BFloat16* a;  // (rows, aTiles, 16, 32)
  int64_t aTiles;     // from row of tiles to row of tiles
  const BFloat16* b;  // (inner / 2, columns, 2), `bStride` numbers from pair to pair
  int64_t bStride;
  float* c;  // (rows, columns, 16, 16)
};

// Whether the processor, the system and the compiler of this file have tiles.
bool machineHasTiles();

// Whether it has them and BATCH_CAM_KERNELS allows their use.
bool hasTiles();

// Holds the tile registers of a thread, which were somebody else's and will be again.
class Tiles {
 public:
  Tiles();
  ~Tiles();
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  // c = a b, or c += a b.
  void multiply(const TileShape& shape, const TileOperands& of, bool add);

 private:
  alignas(64) uint8_t before_[64];
};

}  // namespace batch_cam
