// The 16 upper bits of a float32, as memory holds them.
#pragma once

#include <stdint.h>

namespace batch_cam {

struct BFloat16 {
  uint16_t bits;
};

}  // namespace batch_cam
