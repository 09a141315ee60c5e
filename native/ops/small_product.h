// Matrix products inside one thread, for operands that are in a cache. at::mm would start threads of its own and write
// its result to new memory. The products are those of kernels/block_product.h, and in bfloat16 on processors with AMX
// the micro-kernels (brgemm) of oneDNN, as libtorch exports them. Caller: ops/convnext_mlp_*.cc, whose operators exist
// only if hasProducts() holds.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "kernels/arguments.h"

namespace batch_cam {

// Whether this processor and this build have products of a dtype: float32 or bfloat16.
bool hasProducts(at::ScalarType dtype);

// c = a b, or c += a b. a is (rows, inner) with `stride` elements from row to row; b is (inner, columns) in the layout
// of Kernels<T>::interleavePairs; c is (rows, columns). In bfloat16 an odd `inner` is rounded up, and a must have zeros
// there.
void product(const ProductShape& shape, const float* a, int64_t stride, const float* b, float* c, bool add);
void product(const ProductShape& shape, const BFloat16* a, int64_t stride, const BFloat16* b, float* c, bool add);

// Each thread that multiplies holds one of these. Its destructor releases the AMX tile registers, which oneDNN keeps
// configured between products.
struct ProductScope {
  ~ProductScope();
};

}  // namespace batch_cam
