// Which kernels run: those of the highest level that the processor has and BATCH_CAM_KERNELS allows.
#pragma once

#include <vector>

namespace batch_cam {

// The levels that this processor, its system and this build have, the lowest first: some of baseline, avx2, avx512,
// tiles.
const std::vector<const char*>& kernelLevels();

// The level whose kernels run.
const char* kernelLevel();

// Whether kernels of a level may run: BATCH_CAM_KERNELS names the highest that may. src/engine/switches.ts refuses a
// name that is none of them.
bool kernelsMayBe(const char* level);

}  // namespace batch_cam
