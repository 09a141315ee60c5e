#include "ops/small_product.h"

#include <ATen/native/CPUBlas.h>
#include <c10/util/BFloat16.h>

#include "ops/dtypes.h"

namespace batch_cam {
namespace {

// Whether oneDNN's products in bfloat16 run. They do with AMX alone: there they are twice as fast as those of kernels/.
bool usesOneDnn() {
#ifdef CPUBLAS_BRGEMM_BF16BF16F32
  static const bool uses = at::native::cpublas::could_pack(at::kBFloat16);
  return uses;
#else
  return false;
#endif
}

}  // namespace

bool hasProducts(at::ScalarType dtype) {
  if (dtype == at::kFloat) return kernelsOf<float>().product != nullptr;
  return dtype == at::kBFloat16 && (usesOneDnn() || kernelsOf<BFloat16>().product != nullptr);
}

void product(const ProductShape& shape, const float* a, int64_t stride, const float* b, float* c, bool add) {
  kernelsOf<float>().product(shape, a, stride, b, c, add);
}

void product(const ProductShape& shape, const BFloat16* a, int64_t stride, const BFloat16* b, float* c, bool add) {
#ifdef CPUBLAS_BRGEMM_BF16BF16F32
  if (usesOneDnn()) {
    const auto [rows, columns, inner] = shape;
    at::native::cpublas::brgemm(rows, columns, inner + inner % 2, stride, columns, columns, add,
                                reinterpret_cast<const c10::BFloat16*>(a), reinterpret_cast<const c10::BFloat16*>(b), c,
                                true);
    return;
  }
#endif
  kernelsOf<BFloat16>().product(shape, a, stride, b, c, add);
}

ProductScope::~ProductScope() {
#ifdef CPUBLAS_BRGEMM_BF16BF16F32
  if (usesOneDnn()) at::native::cpublas::brgemm_release();
#endif
}

}  // namespace batch_cam
