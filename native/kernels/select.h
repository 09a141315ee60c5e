// Which kernels run: those of the highest level that the processor has and that BATCH_CAM_KERNELS allows.
#pragma once

#include <vector>

namespace batch_cam {

// The levels that this processor, its operating system and this build support, lowest first: some of baseline, avx2,
// avx512, avx512bf16 and tiles. "tiles" means the tile registers of AMX (amx.h); its other kernels are those of
// avx512bf16.
const std::vector<const char*>& kernelLevels();

// The highest level whose kernels run.
const char* kernelLevel();

// Whether BATCH_CAM_KERNELS, which names the highest allowed level, allows a level. Every level is allowed if the
// variable is not set; src/engine/switches.ts refuses unknown names.
bool isLevelAllowed(const char* level);

}  // namespace batch_cam
