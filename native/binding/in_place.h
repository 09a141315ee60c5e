// In-place changes that autograd refuses. libtorch reports them by a sentence; here its conditions are checked again,
// after a call has failed.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "ops/failure.h"

namespace batch_cam {

// Whether autograd refuses to differentiate one of these tensors: kNoGradView for a view that was made while nothing
// was recorded, if its memory has been changed since; otherwise nothing.
std::optional<FailureKind> refusedGraph(const std::vector<at::Tensor>& tensors);

// Whether autograd refuses an operator on these tensors, of which some are written to: kRefusedWrite, kNoGradView, or
// nothing if the call failed for another reason.
std::optional<FailureKind> refusedCall(const std::vector<at::Tensor>& tensors, const std::vector<at::Tensor>& written);

}  // namespace batch_cam
