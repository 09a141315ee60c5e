#include "memory/saved_copies.h"

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

#include <memory>
#include <mutex>

namespace batch_cam {
namespace {

thread_local bool copiesSaved = false;

// Keeps one saved tensor. If hooks keep a tensor, libtorch no longer compares its version in the backward pass with its
// version when it was saved; with a copy that check is not needed.
struct CopyHooks : torch::autograd::SavedVariableHooks {
  void call_pack_hook(const at::Tensor& tensor) override {
    // A leaf that requires gradients, such as a parameter, cannot be overwritten while a graph is recorded: no copy.
    const bool fixed = tensor.is_leaf() && tensor.requires_grad();
    kept_ = fixed ? tensor.detach() : tensor.detach().clone();
  }
  at::Tensor call_unpack_hook() override { return kept_; }

 private:
  at::Tensor kept_;
};

// libtorch asks its autograd engine for the hooks of each tensor that it saves; this engine returns hooks that copy.
struct CopyingEngine : torch::autograd::Engine {
  std::unique_ptr<torch::autograd::SavedVariableHooks> get_default_saved_variable_hooks() override {
    return copiesSaved ? std::make_unique<CopyHooks>() : nullptr;
  }
};

torch::autograd::Engine& copyingEngine() {
  static auto* engine = new CopyingEngine();  // never destroyed: threads may use it until the process ends
  return *engine;
}

}  // namespace

bool setSavedCopies(bool enabled) {
  static std::once_flag once;
  std::call_once(once, [] { torch::autograd::set_default_engine_stub(copyingEngine); });
  const bool before = copiesSaved;
  copiesSaved = enabled;
  return before;
}

}  // namespace batch_cam
