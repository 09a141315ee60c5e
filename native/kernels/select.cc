#include "kernels/select.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/amx.h"
#include "kernels/table.h"

namespace batch_cam {

bool isLevelAllowed(const char* level) {
  static const char* const levels[] = {"baseline", "avx2", "avx512", "avx512bf16", "tiles"};
  const char* const most = getenv("BATCH_CAM_KERNELS");
  if (most == nullptr) return true;
  bool below = true, allowed = true;
  for (const char* name : levels) {
    if (strcmp(name, level) == 0) allowed = below;
    if (strcmp(name, most) == 0) below = false;
  }
  return allowed;
}

#define DECLARE_VARIANT(name)     \
  namespace name {                \
  extern const KernelTable table; \
  }
DECLARE_VARIANT(baseline)
#ifdef BATCH_CAM_X86_VARIANTS
DECLARE_VARIANT(avx2)
DECLARE_VARIANT(avx512)
#endif
#ifdef BATCH_CAM_AVX512BF16
DECLARE_VARIANT(avx512bf16)
#endif

const std::vector<const char*>& kernelLevels() {
  static const std::vector<const char*> levels = [] {
    std::vector<const char*> found{"baseline"};
#ifdef BATCH_CAM_X86_VARIANTS
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx2) found.push_back("avx2");
    if (avx512) found.push_back("avx512");
#ifdef BATCH_CAM_AVX512BF16
    // Every processor with the first has the second too; both are asked for because the kernels use both.
    const bool bfloat16 = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
    if (avx512 && bfloat16) found.push_back("avx512bf16");
#endif
#endif
    if (machineHasAmx()) found.push_back("tiles");
    return found;
  }();
  return levels;
}

const char* kernelLevel() {
  const char* highest = "baseline";
  for (const char* level : kernelLevels())
    if (isLevelAllowed(level)) highest = level;
  return highest;
}

const KernelTable& kernels() {
  static const KernelTable& chosen = []() -> const KernelTable& {
    const KernelTable* table = &baseline::table;
#ifdef BATCH_CAM_X86_VARIANTS
    for (const char* level : kernelLevels()) {
      if (strcmp(level, "avx2") == 0 && isLevelAllowed(level)) table = &avx2::table;
      if (strcmp(level, "avx512") == 0 && isLevelAllowed(level)) table = &avx512::table;
#ifdef BATCH_CAM_AVX512BF16
      if (strcmp(level, "avx512bf16") == 0 && isLevelAllowed(level)) table = &avx512bf16::table;
#endif
    }
#endif
    return *table;
  }();
  return chosen;
}

}  // namespace batch_cam
