// Which kernels run, for tests of those that this processor would not choose.
#pragma once

namespace batch_cam {

// Whether kernels of a level (baseline, avx2, avx512, tiles) may run: BATCH_CAM_KERNELS names the highest that may.
bool kernelsMayBe(const char* level);

}  // namespace batch_cam
