// A mode in which autograd keeps copies of the values that it saves for the backward pass, so that no operator that
// works in place can overwrite one.
#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

#include <memory>
#include <mutex>

#include "engine.h"
#include "values.h"

namespace batch_cam {
namespace {

thread_local bool copiesSaved = false;

// libtorch compares the version of a saved tensor with its version in the backward pass only where no hooks keep it.
struct CopyHooks : torch::autograd::SavedVariableHooks {
  void call_pack_hook(const at::Tensor& tensor) override {
    // Nothing that records a graph can overwrite a leaf that requires gradients, as a parameter is.
    const bool fixed = tensor.is_leaf() && tensor.requires_grad();
    kept_ = fixed ? tensor.detach() : tensor.detach().clone();
  }
  at::Tensor call_unpack_hook() override { return kept_; }

 private:
  at::Tensor kept_;
};

// The engine is what libtorch asks for the hooks of each tensor that it saves.
struct CopyingEngine : torch::autograd::Engine {
  std::unique_ptr<torch::autograd::SavedVariableHooks> get_default_saved_variable_hooks() override {
    return copiesSaved ? std::make_unique<CopyHooks>() : nullptr;
  }
};

torch::autograd::Engine& copyingEngine() {
  static auto* engine = new CopyingEngine();  // never destroyed: threads may use it until the process ends
  return *engine;
}

// copySaved(enabled): whether this thread copied before. The engine is replaced when it is first needed.
napi_value copySaved(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  static std::once_flag once;
  std::call_once(once, [] { torch::autograd::set_default_engine_stub(copyingEngine); });
  const bool before = copiesSaved;
  copiesSaved = arguments.boolean(0);
  return boolean(env, before);
}

}  // namespace

std::vector<Binding> savedCopiesBindings() { return {{"copySaved", copySaved}}; }

}  // namespace batch_cam
