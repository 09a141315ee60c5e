#include "binding/in_place.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>

#include <algorithm>

namespace batch_cam {
namespace {

namespace autograd = torch::autograd;

FailureKind kindOfView(const at::Tensor& tensor) {
  const auto* view = autograd::impl::get_view_autograd_meta(tensor);
  const bool isBackwardView = view != nullptr && view->has_bw_view();
  return isBackwardView && view->get_creation_meta() == autograd::CreationMeta::NO_GRAD_MODE
             ? FailureKind::kNoGradView
             : FailureKind::kRefusedWrite;
}

// Runs one of libtorch's checks, which throw.
template <typename Check>
bool passes(Check check) {
  try {
    check();
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

}  // namespace

std::optional<FailureKind> refusedGraph(const std::vector<at::Tensor>& tensors) {
  // If the memory of a view has changed, libtorch makes a new node when the node is asked for.
  for (const at::Tensor& tensor : tensors)
    if (!passes([&] { autograd::impl::gradient_edge(tensor); })) return kindOfView(tensor);
  return std::nullopt;
}

std::optional<FailureKind> refusedCall(const std::vector<at::Tensor>& tensors, const std::vector<at::Tensor>& written) {
  const auto requiresGrad = [](const at::Tensor& tensor) { return tensor.requires_grad(); };
  if (!at::GradMode::is_enabled() || std::none_of(tensors.begin(), tensors.end(), requiresGrad)) return std::nullopt;
  for (const at::Tensor& tensor : written)
    if (!passes([&] { autograd::check_inplace(tensor, /*requires_grad=*/true); })) return kindOfView(tensor);
  return refusedGraph(tensors);
}

}  // namespace batch_cam
