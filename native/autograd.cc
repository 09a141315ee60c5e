// Gradients, grad mode and autocast.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "engine.h"
#include "values.h"

namespace batch_cam {
namespace {

using torch::autograd::variable_list;

// Reads `count, handles...` at `position`; a NaN handle is an undefined tensor.
variable_list readTensors(const Engine& engine, size_t& position) {
  const size_t count = static_cast<size_t>(engine.arena[position++]);
  variable_list tensors;
  tensors.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const double handle = engine.arena[position++];
    tensors.push_back(handle != handle ? at::Tensor() : engine.tensors.at(static_cast<int32_t>(handle)));
  }
  return tensors;
}

// grad(retainGraph, createGraph, allowUnused): outputs, inputs and output gradients in the arena (three lists); the
// handles of the gradients come back in it, kNoTensor for an input that was not used.
napi_value grad(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   size_t position = 0;
                   const variable_list outputs = readTensors(engine, position);
                   const variable_list inputs = readTensors(engine, position);
                   const variable_list seeds = readTensors(engine, position);
                   const variable_list gradients =
                       torch::autograd::grad(outputs, inputs, seeds, arguments.boolean(0), arguments.boolean(1),
                                             arguments.boolean(2));
                   for (size_t i = 0; i < gradients.size(); ++i)
                     engine.arena[i] = gradients[i].defined() ? engine.tensors.add(gradients[i]) : kNoTensor;
                   return 0;
                 }));
}

// backward(retainGraph, createGraph): outputs and their gradients in the arena (two lists).
napi_value backward(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  const int32_t result = guarded(engine, -1, [&] {
    size_t position = 0;
    const variable_list outputs = readTensors(engine, position);
    const variable_list seeds = readTensors(engine, position);
    torch::autograd::backward(outputs, seeds, arguments.boolean(0), arguments.boolean(1));
    return 0;
  });
  reportExternalMemory(engine);
  return integer(env, result);
}

napi_value setRequiresGrad(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   engine.tensors.at(arguments.integer(0)).set_requires_grad(arguments.boolean(1));
                   return 0;
                 }));
}

// gradientOf(handle): the handle of tensor.grad; 0 results in the arena: [handle or kNoTensor].
napi_value gradientOf(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const at::Tensor& gradient = engine.tensors.at(arguments.integer(0)).grad();
                   engine.arena[0] = gradient.defined() ? engine.tensors.add(gradient) : kNoTensor;
                   return 0;
                 }));
}

// setGradient(handle, gradient or kNoTensor)
napi_value setGradient(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const int32_t gradient = arguments.integer(1);
                   engine.tensors.at(arguments.integer(0)).mutable_grad() =
                       gradient == kNoTensor ? at::Tensor() : engine.tensors.at(gradient);
                   return 0;
                 }));
}

// setGradMode(enabled): the mode before.
napi_value setGradMode(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(arguments.boolean(0));
  return boolean(env, before);
}

// setAutocast(enabled, dtype): writes the state before to the arena: [enabled, dtype].
napi_value setAutocast(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(env, guarded(engine, -1, [&] {
                   const bool enabled = at::autocast::is_autocast_enabled(at::kCPU);
                   const auto dtype = at::autocast::get_autocast_dtype(at::kCPU);
                   at::autocast::set_autocast_enabled(at::kCPU, arguments.boolean(0));
                   at::autocast::set_autocast_dtype(at::kCPU, static_cast<at::ScalarType>(arguments.integer(1)));
                   at::autocast::clear_cache();  // weights cast under one scope must not outlive it
                   engine.arena[0] = enabled;
                   engine.arena[1] = static_cast<double>(dtype);
                   return 0;
                 }));
}

}  // namespace

std::vector<Binding> autogradBindings() {
  return {{"grad", grad},
          {"backward", backward},
          {"setRequiresGrad", setRequiresGrad},
          {"gradientOf", gradientOf},
          {"setGradient", setGradient},
          {"setGradMode", setGradMode},
          {"setAutocast", setAutocast}};
}

}  // namespace batch_cam
