#include "select.h"

#include <stdlib.h>
#include <string.h>

#include "table.h"

namespace batch_cam {

bool kernelsMayBe(const char* level) {
  static const char* const levels[] = {"baseline", "avx2", "avx512", "tiles"};
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

const KernelTable& kernels() {
  static const KernelTable& chosen = []() -> const KernelTable& {
#ifdef BATCH_CAM_X86_VARIANTS
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx2 && avx512 && kernelsMayBe("avx512")) return avx512::table;
    if (avx2 && kernelsMayBe("avx2")) return avx2::table;
#endif
    return baseline::table;
  }();
  return chosen;
}

}  // namespace batch_cam
