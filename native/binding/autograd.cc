// Gradients, grad mode and the copies of saved tensors.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "binding/engine.h"
#include "binding/in_place.h"
#include "binding/values.h"
#include "memory/saved_copies.h"

namespace batch_cam {
namespace {

using torch::autograd::variable_list;

// Reads a list of tensors from the arena: their number, then their handles. NaN means an undefined tensor.
variable_list readTensors(const Engine& engine, size_t& position) {
  expect(position < engine.arenaLength, FailureKind::kOther, "the argument buffer is too short for this call");
  const double count = engine.arena[position++];
  expect(count >= 0 && count <= static_cast<double>(engine.arenaLength - position), FailureKind::kOther,
         "a list is longer than the argument buffer");
  variable_list tensors;
  tensors.reserve(static_cast<size_t>(count));
  for (size_t end = position + static_cast<size_t>(count); position < end;) {
    const double handle = engine.arena[position++];
    tensors.push_back(handle != handle ? at::Tensor() : engine.tensors.at(static_cast<int32_t>(handle)));
  }
  return tensors;
}

// Calls libtorch's autograd for outputs that must have a graph.
template <typename Run>
auto differentiate(const variable_list& outputs, const variable_list& inputs, Run run) {
  for (size_t i = 0; i < outputs.size(); ++i)
    expect(outputs[i].requires_grad(), FailureKind::kUnused, "outputs[", i,
           "] does not require grad and does not have a grad_fn: nothing was recorded for it");
  try {
    return run();
  } catch (const c10::Error& error) {
    variable_list tensors = outputs;
    tensors.insert(tensors.end(), inputs.begin(), inputs.end());
    if (const auto refusal = refusedGraph(tensors)) throw Failure(*refusal, firstLine(error));
    throw;
  }
}

// grad(retainGraph, createGraph, allowUnused): the gradients of outputs by inputs. The arena holds three lists:
// outputs, inputs and output gradients. The gradients' handles are written to it, kNoTensor for an input that was not
// used.
napi_value grad(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   size_t position = 0;
                   const variable_list outputs = readTensors(engine, position);
                   const variable_list inputs = readTensors(engine, position);
                   const variable_list seeds = readTensors(engine, position);
                   const bool allowUnused = arguments.boolean(2);
                   for (size_t i = 0; i < inputs.size(); ++i)
                     expect(inputs[i].requires_grad(), FailureKind::kUnused, "inputs[", i, "] does not require grad");
                   const variable_list gradients = differentiate(outputs, inputs, [&] {
                     return torch::autograd::grad(outputs, inputs, seeds, arguments.boolean(0), arguments.boolean(1),
                                                  /*allow_unused=*/true);
                   });
                   expect(gradients.size() <= engine.arenaLength, FailureKind::kOther,
                          "more gradients result than one call can return");
                   for (size_t i = 0; i < gradients.size(); ++i)
                     expect(allowUnused || gradients[i].defined(), FailureKind::kUnused, "inputs[", i,
                            "] appears to not have been used in the graph of the outputs: set allowUnused if that is "
                            "intended");
                   for (size_t i = 0; i < gradients.size(); ++i)
                     engine.arena[i] = gradients[i].defined() ? engine.tensors.add(gradients[i]) : kNoTensor;
                   return 0;
                 }));
}

// backward(retainGraph, createGraph): adds gradients to the leaves. The arena holds two lists: outputs and their
// gradients.
napi_value backward(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  const int32_t result = guarded(engine, -1, [&] {
    size_t position = 0;
    const variable_list outputs = readTensors(engine, position);
    const variable_list seeds = readTensors(engine, position);
    return differentiate(outputs, {}, [&] {
      torch::autograd::backward(outputs, seeds, arguments.boolean(0), arguments.boolean(1));
      return 0;
    });
  });
  reportExternalMemory(engine);
  return integer(env, result);
}

// setRequiresGrad(handle, value)
napi_value setRequiresGrad(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const at::Tensor& tensor = engine.tensors.at(arguments.integer(0));
                   expect(!arguments.boolean(1) || torch::autograd::isDifferentiableType(tensor.scalar_type()),
                          FailureKind::kDtype, "only tensors of floating point dtype can require gradients, got ",
                          tensor.scalar_type());
                   expect(tensor.is_leaf() || arguments.boolean(1), FailureKind::kOther,
                          "the result of an operation that was recorded "
                          "cannot stop to require a gradient: use detach()");
                   tensor.set_requires_grad(arguments.boolean(1));
                   return 0;
                 }));
}

// gradientOf(handle): writes the handle of tensor.grad, or kNoTensor, to the arena.
napi_value gradientOf(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const at::Tensor& gradient = engine.tensors.at(arguments.integer(0)).grad();
                   engine.arena[0] = gradient.defined() ? engine.tensors.add(gradient) : kNoTensor;
                   return 0;
                 }));
}

// setGradient(handle, gradient or kNoTensor): sets tensor.grad.
napi_value setGradient(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const at::Tensor& tensor = engine.tensors.at(arguments.integer(0));
                   if (arguments.integer(1) == kNoTensor) {
                     tensor.mutable_grad() = at::Tensor();
                     return 0;
                   }
                   const at::Tensor& gradient = engine.tensors.at(arguments.integer(1));
                   // The fused optimizers read a parameter and its gradient by one index, without checking their sizes.
                   expect(gradient.sizes() == tensor.sizes() && gradient.scalar_type() == tensor.scalar_type(),
                          FailureKind::kDtype, "the gradient of ", tensor.scalar_type(), tensor.sizes(),
                          " must have its shape and dtype, got ", gradient.scalar_type(), gradient.sizes());
                   tensor.mutable_grad() = gradient;
                   return 0;
                 }));
}

// setGradMode(enabled): returns the previous mode.
napi_value setGradMode(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(arguments.boolean(0));
  return boolean(env, before);
}

// copySaved(enabled): switches the copies of saved tensors on or off for this thread; returns whether they were on.
napi_value copySaved(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  return boolean(env, setSavedCopies(arguments.boolean(0)));
}

}  // namespace

std::vector<Binding> autogradBindings() {
  return {{"grad", grad},
          {"backward", backward},
          {"setRequiresGrad", setRequiresGrad},
          {"gradientOf", gradientOf},
          {"setGradient", setGradient},
          {"setGradMode", setGradMode},
          {"copySaved", copySaved}};
}

}  // namespace batch_cam
