// Conversion between the argument buffer (the arena) and libtorch's stack of IValues. The operator's schema determines
// the layout: each argument is one double, or for lists a length and the elements; src/engine/dispatch.ts writes it.
#pragma once

#include <ATen/core/function_schema.h>

#include "binding/engine.h"

namespace batch_cam {

// Pushes the arguments in the buffer onto the stack of the engine.
void readArguments(Engine& engine, const c10::FunctionSchema& schema);

// Writes all values on the stack to the buffer; tensors become handles.
void writeResults(Engine& engine);

// The call in messages: "add(self Float[2, 3], other Float[4])".
std::string describeCall(Engine& engine, const c10::FunctionSchema& schema);

}  // namespace batch_cam
