// Failures whose kind this package can tell: its own operators and the binding check their arguments with `expect`.
// binding/engine.cc passes the kind to JavaScript, where src/engine/native-error.ts makes an error code of it.
#pragma once

#include <c10/macros/Macros.h>
#include <c10/util/StringUtil.h>

#include <stdexcept>

namespace batch_cam {

enum class FailureKind {
  kShape,         // of an argument, also a wrong number of values
  kDtype,         // of an argument
  kDisposed,      // a tensor was used after JavaScript had released it
  kUnused,        // a gradient with respect to a tensor that the outputs do not depend on
  kRefusedWrite,  // autograd does not let an operator write to an argument
  kNoGradView,    // the same, because the argument is a view that was made while nothing was recorded
  kOther,
};

class Failure : public std::runtime_error {
 public:
  Failure(FailureKind kind, const std::string& message) : std::runtime_error(message), kind(kind) {}
  const FailureKind kind;
};

// Throws unless `condition` holds. The parts of the message are evaluated in any case, so that they must cost nothing.
template <typename... Parts>
void expect(bool condition, FailureKind kind, const Parts&... message) {
  if (C10_UNLIKELY(!condition)) throw Failure(kind, c10::str(message...));
}

}  // namespace batch_cam
