// The recording that a profile is made from: one table of events, with times of one clock. Events are libtorch's
// operators and backward nodes, which it reports by RecordFunction, and spans that TypeScript opens around them.
#include <ATen/SequenceNumber.h>
#include <ATen/core/List.h>
#include <ATen/record_function.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "binding/engine.h"
#include "binding/values.h"

namespace batch_cam {
namespace {

// Kinds of events. Those of spans begin at 2; src/tensor/recording.ts names them, and reads the rows in this layout.
constexpr double kOperator = 0;
constexpr double kBackward = 1;

// One event. All fields are doubles, so that the table is a Float64Array in JavaScript.
struct Row {
  double kind;
  double name;    // index of the string table
  double shapes;  // index of the string table
  double parent;  // index of the row that encloses it, or -1
  double start;   // nanoseconds since the recording began
  double end;
  double sequence;  // number of the autograd node that an operator creates, or of the backward node itself; or -1
  double before;    // the next free number of autograd nodes, at the start and (after) at the end
  double after;
};

// Strings, each stored once.
class Strings {
 public:
  double add(const std::string& text) {
    const auto [found, added] = numbers_.try_emplace(text, static_cast<double>(texts_.size()));
    if (added) texts_.push_back(text);
    return found->second;
  }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::unordered_map<std::string, double> numbers_;
  std::vector<std::string> texts_;
};

struct Recording {
  size_t limit;  // the largest number of rows of operators, and of spans
  std::chrono::steady_clock::time_point origin = std::chrono::steady_clock::now();
  std::vector<Row> rows;
  std::vector<int64_t> open;  // rows of events that have not ended, innermost last; -1 for an event without a row
  Strings strings;
  size_t operators = 0;
  size_t spans = 0;
  size_t openSpans = 0;
  size_t dropped = 0;
  std::vector<at::CallbackHandle> callbacks;

  double now() const {
    const auto elapsed = std::chrono::steady_clock::now() - origin;
    return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count());
  }
};

// Each thread has a recording of its own, as it has an engine. libtorch copies thread-local callbacks to the threads on
// which it runs a backward pass. On the CPU that is the calling thread; any other thread has no recording, and ignores
// the event.
thread_local std::unique_ptr<Recording> recording;

double nextNode() { return static_cast<double>(at::sequence_number::peek()); }

void begin(Recording& into, size_t& count, Row row) {
  if (count >= into.limit) {
    ++into.dropped;
    into.open.push_back(-1);
    return;
  }
  ++count;
  row.parent = -1;
  for (auto outer = into.open.rbegin(); outer != into.open.rend() && row.parent < 0; ++outer)
    row.parent = static_cast<double>(*outer);
  row.before = row.after = nextNode();
  into.open.push_back(static_cast<int64_t>(into.rows.size()));
  row.start = row.end = into.now();
  into.rows.push_back(row);
}

void end(Recording& into) {
  const double now = into.now();
  const int64_t index = into.open.back();
  into.open.pop_back();
  if (index < 0) return;
  into.rows[index].end = now;
  into.rows[index].after = nextNode();
}

void appendShape(std::string& text, const at::Tensor& tensor) {
  text += '[';
  if (tensor.defined()) {
    for (int64_t i = 0; i < tensor.dim(); ++i) {
      if (i > 0) text += ", ";
      text += std::to_string(tensor.size(i));
    }
  }
  text += ']';
}

// The shapes of the tensors among an operator's arguments: "[128, 3, 28, 28] [16, 3, 3, 3]". Of a list of tensors only
// the first four are included.
std::string shapesOf(c10::ArrayRef<const c10::IValue> arguments) {
  std::string text;
  const auto append = [&](const at::Tensor& tensor) {
    if (!text.empty()) text += ' ';
    appendShape(text, tensor);
  };
  for (const c10::IValue& argument : arguments) {
    if (argument.isTensor()) {
      append(argument.toTensor());
    } else if (argument.isTensorList()) {
      const auto list = argument.toTensorList();
      for (size_t i = 0; i < list.size() && i < 4; ++i) append(list.get(i));
      if (list.size() > 4) text += " ... " + std::to_string(list.size()) + " tensors";
    }
  }
  return text;
}

std::unique_ptr<at::ObserverContext> onStart(const at::RecordFunction& function) {
  // Operators are recorded only within spans.
  if (!recording || recording->openSpans == 0) return nullptr;
  Row row{};
  row.kind = function.scope() == at::RecordScope::BACKWARD_FUNCTION ? kBackward : kOperator;
  row.name = recording->strings.add(function.name());
  row.shapes = recording->strings.add(shapesOf(function.inputs()));
  row.sequence = static_cast<double>(function.seqNr());
  begin(*recording, recording->operators, row);
  return nullptr;
}

void onEnd(const at::RecordFunction&, at::ObserverContext*) {
  if (recording && recording->openSpans > 0) end(*recording);
}

// startRecording(limit): 0, or -1 if this thread is recording already.
napi_value startRecording(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Engine& engine = engineOf(env);
  return integer(
      env, guarded(engine, -1, [&] {
        expect(recording == nullptr, FailureKind::kOther, "a profile is being recorded already");
        recording = std::make_unique<Recording>();
        recording->limit = static_cast<size_t>(arguments.number(0));
        using Scope = at::RecordScope;
        const auto callback = at::RecordFunctionCallback(onStart, onEnd);
        // Backward nodes are recorded without their inputs: holding them could keep a node from reusing their memory.
        recording->callbacks = {
            at::addThreadLocalCallback(
                at::RecordFunctionCallback(callback).scopes({Scope::FUNCTION}).needsInputs(true)),
            at::addThreadLocalCallback(at::RecordFunctionCallback(callback).scopes({Scope::BACKWARD_FUNCTION}))};
        return 0;
      }));
}

// beginSpan(kind, name): opens a span until endSpan().
napi_value beginSpan(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  if (!recording) return undefined(env);
  Row row{};
  row.kind = arguments.number(0);
  row.name = recording->strings.add(arguments.string(1));
  row.shapes = recording->strings.add("");
  row.sequence = -1;
  begin(*recording, recording->spans, row);
  ++recording->openSpans;
  return undefined(env);
}

napi_value endSpan(napi_env env, napi_callback_info) {
  if (!recording || recording->openSpans == 0) return undefined(env);
  end(*recording);
  --recording->openSpans;
  return undefined(env);
}

// The rows as a Float64Array.
napi_value rowsOf(napi_env env, const std::vector<Row>& rows) {
  void* data = nullptr;
  napi_value buffer, result;
  const size_t bytes = rows.size() * sizeof(Row);
  napi_create_arraybuffer(env, bytes, &data, &buffer);
  if (bytes > 0) std::memcpy(data, rows.data(), bytes);
  napi_create_typedarray(env, napi_float64_array, bytes / sizeof(double), buffer, 0, &result);
  return result;
}

// stopRecording(): { rows, strings, dropped }, or undefined if nothing was recorded.
napi_value stopRecording(napi_env env, napi_callback_info) {
  if (!recording) return undefined(env);
  const std::unique_ptr<Recording> done = std::move(recording);
  for (const at::CallbackHandle callback : done->callbacks) at::removeCallback(callback);
  napi_value result, strings;
  napi_create_object(env, &result);
  napi_create_array(env, &strings);
  uint32_t count = 0;
  for (const std::string& text : done->strings.texts()) napi_set_element(env, strings, count++, string(env, text));
  napi_set_named_property(env, result, "rows", rowsOf(env, done->rows));
  napi_set_named_property(env, result, "strings", strings);
  napi_set_named_property(env, result, "dropped", number(env, static_cast<double>(done->dropped)));
  return result;
}

}  // namespace

std::vector<Binding> profilerBindings() {
  return {{"startRecording", startRecording},
          {"beginSpan", beginSpan},
          {"endSpan", endSpan},
          {"stopRecording", stopRecording}};
}

}  // namespace batch_cam
