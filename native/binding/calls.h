// The state of calls to operators by name. It is not part of engine.h because the dispatcher's headers take 2 s to
// compile, and only the files that call operators need them.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>
#include <vector>

#include "binding/windows.h"

namespace batch_cam {

// An ATen operator that JavaScript has looked up.
struct Operator {
  c10::OperatorHandle handle;
  bool singleTensor;  // whether it returns exactly one tensor, whose handle is then the return value of `run`
  std::optional<WindowArguments> windows;
};

struct Calls {
  std::vector<Operator> operators;
  std::vector<std::string> strings;  // that JavaScript passes to operators, by index
  std::vector<c10::IValue> stack;    // arguments and results of the call in progress
};

}  // namespace batch_cam
