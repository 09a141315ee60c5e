// bfloat16 as it is stored in memory: the upper 16 bits of a float32.
#pragma once

#include <stdint.h>

namespace batch_cam {

struct BFloat16 {
  uint16_t bits;
};

}  // namespace batch_cam
