#include "binding/marshal.h"

#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>

#include <sstream>

#include "binding/calls.h"

namespace batch_cam {
namespace {

using c10::IValue;
using c10::TypeKind;

// Reads arguments from the buffer, one after the other.
class Reader {
 public:
  explicit Reader(Engine& engine) : engine_(engine) {}

  IValue read(const c10::Type& type) {
    switch (type.kind()) {
      case TypeKind::TensorType:
        return tensor();
      case TypeKind::IntType:
      case TypeKind::SymIntType:
        return IValue(integer());
      case TypeKind::FloatType:
        return IValue(next());
      case TypeKind::BoolType:
        return IValue(next() != 0);
      case TypeKind::NumberType:
        return scalar();
      case TypeKind::StringType:
        return IValue(engine_.calls->strings.at(static_cast<size_t>(integer())));
      case TypeKind::OptionalType:
        return optional(*type.castRaw<c10::OptionalType>()->getElementType());
      case TypeKind::ListType:
        return list(type.castRaw<c10::ListType>()->getElementType());
      case TypeKind::DeviceObjType:
        return IValue(device());
      case TypeKind::GeneratorType:
        return IValue(engine_.generator);
      default:
        throw Failure(FailureKind::kOther, "argument type " + type.str() + " is not supported by the binding");
    }
  }

 private:
  double next() {
    expect(position_ < engine_.arenaLength, FailureKind::kOther, "the argument buffer is too short for this call");
    return engine_.arena[position_++];
  }
  int64_t integer() { return static_cast<int64_t>(next()); }
  int64_t count() {
    const double value = next();
    expect(value >= 0 && value <= static_cast<double>(engine_.arenaLength - position_), FailureKind::kOther,
           "a list is longer than the argument buffer");
    return static_cast<int64_t>(value);
  }

  IValue tensor() { return IValue(engine_.tensors.at(static_cast<int32_t>(next()))); }

  // 256 times the device type, plus the device index + 1.
  c10::Device device() {
    const int64_t code = integer();
    return c10::Device(static_cast<c10::DeviceType>(code / 256), static_cast<c10::DeviceIndex>(code % 256 - 1));
  }

  // A scalar is two doubles: a tag (0 for integer, 1 for float, 2 for boolean) and the value.
  IValue scalar() {
    const int64_t tag = integer();
    const double value = next();
    if (tag == 0) return IValue(c10::Scalar(static_cast<int64_t>(value)));
    if (tag == 2) return IValue(c10::Scalar(value != 0));
    return IValue(c10::Scalar(value));
  }

  // An absent value is written as one NaN. A generator is not in the buffer: it is always that of the engine.
  IValue optional(const c10::Type& element) {
    if (element.kind() == TypeKind::GeneratorType) return IValue(engine_.generator);
    const double first = next();
    if (first != first) return IValue();
    --position_;
    return read(element);
  }

  IValue list(const c10::TypePtr& element) {
    const int64_t count = this->count();
    switch (element->kind()) {
      case TypeKind::TensorType: {
        c10::List<at::Tensor> values;
        values.reserve(count);
        for (int64_t i = 0; i < count; ++i) values.push_back(engine_.tensors.at(static_cast<int32_t>(next())));
        return IValue(std::move(values));
      }
      case TypeKind::IntType:
      case TypeKind::SymIntType: {
        c10::List<int64_t> values;
        values.reserve(count);
        for (int64_t i = 0; i < count; ++i) values.push_back(integer());
        return IValue(std::move(values));
      }
      case TypeKind::FloatType: {
        c10::List<double> values;
        for (int64_t i = 0; i < count; ++i) values.push_back(next());
        return IValue(std::move(values));
      }
      case TypeKind::BoolType: {
        c10::List<bool> values;
        for (int64_t i = 0; i < count; ++i) values.push_back(next() != 0);
        return IValue(std::move(values));
      }
      default:
        return anyList(element, count);
    }
  }

  // A list of any other type: scalars, strings, lists of integers, or optional values, each written as one alone is.
  IValue anyList(const c10::TypePtr& element, int64_t count) {
    c10::impl::GenericList values(element);
    values.reserve(count);
    for (int64_t i = 0; i < count; ++i) values.push_back(read(*element));
    return IValue(std::move(values));
  }

  Engine& engine_;
  size_t position_ = 0;
};

// Writes results to the buffer, one after the other.
class Writer {
 public:
  explicit Writer(Engine& engine) : engine_(engine) {}

  void write(const IValue& value) {
    if (value.isTensor()) {
      put(handleOf(value.toTensor()));
    } else if (value.isList()) {
      const auto values = value.toListRef();
      expect(values.size() < engine_.arenaLength - position_, FailureKind::kOther,
             "more values result than one call can return");
      put(static_cast<double>(values.size()));
      for (const IValue& item : values) write(item);
    } else if (value.isNone()) {
      put(kNoTensor);
    } else if (value.isInt()) {
      put(static_cast<double>(value.toInt()));
    } else if (value.isDouble()) {
      put(value.toDouble());
    } else if (value.isBool()) {
      put(value.toBool() ? 1 : 0);
    } else {
      throw Failure(FailureKind::kOther, "result type " + value.tagKind() + " is not supported by the binding");
    }
  }

 private:
  double handleOf(const at::Tensor& tensor) { return tensor.defined() ? engine_.tensors.add(tensor) : kNoTensor; }
  void put(double value) {
    expect(position_ < engine_.arenaLength, FailureKind::kOther, "the result does not fit the argument buffer");
    engine_.arena[position_++] = value;
  }

  Engine& engine_;
  size_t position_ = 0;
};

}  // namespace

void readArguments(Engine& engine, const c10::FunctionSchema& schema) {
  Reader reader(engine);
  for (const c10::Argument& argument : schema.arguments()) engine.calls->stack.push_back(reader.read(*argument.type()));
}

void writeResults(Engine& engine) {
  Writer writer(engine);
  for (const IValue& value : engine.calls->stack) writer.write(value);
}

std::string describeCall(Engine& engine, const c10::FunctionSchema& schema) {
  std::ostringstream out;
  out << schema.name().substr(schema.name().find("::") + 2) << "(";
  const char* separator = "";
  try {
    Reader reader(engine);
    for (const c10::Argument& argument : schema.arguments()) {
      const IValue value = reader.read(*argument.type());
      if (value.isTensor() && value.toTensor().defined()) {
        out << separator << argument.name() << " " << describe(value.toTensor());
        separator = ", ";
      } else if (value.isTensorList()) {
        out << separator << argument.name() << " [" << value.toTensorList().size() << " tensors]";
        separator = ", ";
      }
    }
  } catch (const std::exception&) {
    out << separator << "...";
  }
  out << ")";
  return out.str();
}

}  // namespace batch_cam
