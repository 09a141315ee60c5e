#include "ops/small_product.h"

#include <vector>

namespace batch_cam {
namespace {

#if defined(CPUBLAS_BRGEMM_BF16BF16F32) && defined(CPUBLAS_BRGEMM_F32F32F32)
// oneDNN throws an exception if the processor lacks the instructions of the kernel.
bool hasFloat32Products() {
  try {
    std::vector<float> a(16, 1.0f), b(16, 1.0f), c(16);
    at::native::cpublas::brgemm(4, 4, 4, 4, 4, 4, false, a.data(), b.data(), c.data(), false);
    return c[0] == 4.0f;
  } catch (const std::exception&) {
    return false;
  }
}
#endif

}  // namespace

#if defined(CPUBLAS_BRGEMM_BF16BF16F32) && defined(CPUBLAS_BRGEMM_F32F32F32)

bool hasProducts(at::ScalarType dtype) {
  static const bool float32 = hasFloat32Products();
  static const bool bfloat16 = at::native::cpublas::could_pack(at::kBFloat16);
  return (dtype == at::kFloat && float32) || (dtype == at::kBFloat16 && bfloat16);
}

void product(const ProductShape& shape, const float* a, int64_t stride, const float* b, float* c, bool add) {
  const auto [rows, columns, inner] = shape;
  at::native::cpublas::brgemm(rows, columns, inner, stride, columns, columns, add, a, b, c, false);
}

void product(const ProductShape& shape, const BFloat16* a, int64_t stride, const BFloat16* b, float* c, bool add) {
  const auto [rows, columns, inner] = shape;
  at::native::cpublas::brgemm(rows, columns, inner + inner % 2, stride, columns, columns, add,
                              reinterpret_cast<const c10::BFloat16*>(a), reinterpret_cast<const c10::BFloat16*>(b), c,
                              true);
}

ProductScope::~ProductScope() { at::native::cpublas::brgemm_release(); }

#else

bool hasProducts(at::ScalarType) { return false; }
void product(const ProductShape&, const float*, int64_t, const float*, float*, bool) {}
void product(const ProductShape&, const BFloat16*, int64_t, const BFloat16*, float*, bool) {}
ProductScope::~ProductScope() {}

#endif

}  // namespace batch_cam
