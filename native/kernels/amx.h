// Products of bfloat16 matrices in the tile registers of AMX (Intel's Advanced Matrix Extensions), for sizes that are
// multiples of whole tiles.
//
// Caller: ops/amx_weight_gradient.cc. oneDNN uses the same registers, but its weight gradient of a convolution falls to
// a fifth of a product's speed for small maps; ops/convolution_passes.cc has the measurements.
#pragma once

#include <stdint.h>

#include "kernels/bfloat16.h"

namespace batch_cam {

constexpr int64_t kAmxTileRows = 16;   // rows and columns of a tile of c, in float32
constexpr int64_t kAmxTileInner = 32;  // inner size of a tile of a or b, in bfloat16

// Sizes, counted in tiles.
struct AmxShape {
  int64_t rows;
  int64_t columns;
  int64_t inner;
};

// A tile of a or c is one contiguous block of memory. b is row-major, with its rows in interleaved pairs.
struct AmxOperands {
  const BFloat16* a;  // (rows, aTiles, 16, 32)
  int64_t aTiles;     // tiles from one row of tiles to the next
  const BFloat16* b;  // (inner / 2, columns, 2), `bStride` elements from pair to pair
  int64_t bStride;
  float* c;  // (rows, columns, 16, 16)
};

// Whether the processor, the operating system and the compiler support AMX.
bool machineHasAmx();

// Whether they do, and BATCH_CAM_KERNELS allows the level "tiles".
bool hasAmx();

// Configures the tile registers of this thread, and restores their configuration in the destructor: oneDNN uses them
// too.
class AmxTiles {
 public:
  AmxTiles();
  ~AmxTiles();
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  // c = a b, or c += a b.
  void multiply(const AmxShape& shape, const AmxOperands& of, bool add);

 private:
  alignas(64) uint8_t before_[64];
};

}  // namespace batch_cam
