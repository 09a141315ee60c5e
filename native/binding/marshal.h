// Between the argument buffer and libtorch's stack of IValues, by the operator's own schema.
#pragma once

#include <ATen/core/function_schema.h>

#include "binding/engine.h"

namespace batch_cam {

// Pushes the arguments that the buffer holds for `schema` on `engine.stack`. src/engine/arena.ts writes the same
// layout.
void readArguments(Engine& engine, const c10::FunctionSchema& schema);

// Writes every value on the stack into the buffer; tensors become handles.
void writeResults(Engine& engine);

// "add(self Float[2, 3], other Float[4])", for messages.
std::string describeCall(Engine& engine, const c10::FunctionSchema& schema);

}  // namespace batch_cam
