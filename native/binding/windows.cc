#include "binding/windows.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "ops/failure.h"

namespace batch_cam {
namespace {

// Strides up to this one are not compared with the input, which would cost time in every call.
constexpr int64_t kSmall = 64;
// With a stride of 32,768, the backward pass of oneDNN 3.7 ends in a segmentation fault.
constexpr int64_t kMost = 32767;
// The same happens with strides of 16,384 in two dimensions. This product of strides takes about a second.
constexpr double kMostTogether = 1 << 25;

// The number of a list for a dimension; a list of one number holds for all dimensions.
int64_t at(const c10::IValue& value, size_t dimension) {
  if (value.isInt()) return value.toInt();
  const auto list = value.toIntList();
  return list.get(list.size() == 1 ? 0 : dimension);
}

bool covers(const c10::IValue& value, size_t dimensions) {
  return value.isInt() ||
         (value.isIntList() && (value.toIntList().size() == 1 || value.toIntList().size() == dimensions));
}

// The arguments of a call, if their number of dimensions is consistent.
class Sizes {
 public:
  Sizes(const std::vector<c10::IValue>& stack, const WindowArguments& arguments)
      : stack_(stack), arguments_(arguments) {
    if (!arguments.input || !arguments.weight) return;
    const c10::IValue& input = stack[*arguments.input];
    const c10::IValue& weight = stack[*arguments.weight];
    if (!input.isTensor() || !weight.isTensor() || !input.toTensor().defined() || !weight.toTensor().defined()) return;
    input_ = input.toTensor().sizes();
    kernel_ = weight.toTensor().sizes();
    if (kernel_.size() < 3 || input_.size() < kernel_.size() - 1) return;
    dimensions_ = kernel_.size() - 2;
    for (const auto& position : {arguments.padding, arguments.dilation})
      if (position && !covers(stack[*position], dimensions_)) dimensions_ = 0;
  }

  size_t dimensions() const { return dimensions_; }

  // The largest stride that matters in a dimension. It is a double, because the product can exceed an int64.
  double mostUseful(size_t dimension) const {
    const auto length = static_cast<double>(input_[input_.size() - dimensions_ + dimension]);
    const bool isTransposed =
        arguments_.isTransposed || (arguments_.transposed && stack_[*arguments_.transposed].toBool());
    if (isTransposed) return length == 1 ? 1 : kNone;
    const double padding = arguments_.padding ? static_cast<double>(at(stack_[*arguments_.padding], dimension)) : 0;
    const double dilation = arguments_.dilation ? static_cast<double>(at(stack_[*arguments_.dilation], dimension)) : 1;
    const double positions = length + 2 * padding - dilation * static_cast<double>(kernel_[2 + dimension] - 1);
    return positions >= 1 ? positions : kNone;
  }

 private:
  static constexpr double kNone = 1e300;
  const std::vector<c10::IValue>& stack_;
  const WindowArguments& arguments_;
  c10::IntArrayRef input_, kernel_;
  size_t dimensions_ = 0;
};

int64_t limited(int64_t stride, double most) {
  return static_cast<double>(stride) > most && most <= kMost ? static_cast<int64_t>(most) : stride;
}

void expectFits(int64_t stride) {
  expect(stride <= kMost, FailureKind::kShape, "the stride must be at most ", kMost, ", got ", stride);
}

// Only a window that begins in the padding can step over the whole input.
void expectPooled(const std::vector<c10::IValue>& stack, const WindowArguments& arguments) {
  if (!arguments.input || !arguments.padding || !arguments.dilation) return;
  const c10::IValue &input = stack[*arguments.input], &padding = stack[*arguments.padding],
                    &dilation = stack[*arguments.dilation];
  if (!input.isTensor() || !input.toTensor().defined() || !padding.isIntList() || !dilation.isIntList()) return;
  const auto sizes = input.toTensor().sizes();
  const size_t count = arguments.poolDimensions;
  if (sizes.size() < count || !covers(padding, count) || !covers(dilation, count)) return;
  for (size_t i = 0; i < count; ++i) {
    const int64_t length = sizes[sizes.size() - count + i];
    expect(at(padding, i) <= 0 || at(dilation, i) <= std::max(length, int64_t{1}), FailureKind::kShape,
           "the dilation must be at most the size of the input, ", length, ", got ", at(dilation, i));
  }
}

// With paddings of this size, memory was corrupted in one of several runs of oneDNN on several threads.
void expectPadding(const std::vector<c10::IValue>& stack, const WindowArguments& arguments) {
  if (!arguments.padding) return;
  const c10::IValue& value = stack[*arguments.padding];
  const auto expectSmall = [](int64_t padding) {
    expect(padding <= kMost, FailureKind::kShape, "the padding must be at most ", kMost, ", got ", padding);
  };
  if (value.isInt()) expectSmall(value.toInt());
  if (value.isIntList())
    for (const int64_t padding : value.toIntList()) expectSmall(padding);
}

void limitStrides(std::vector<c10::IValue>& stack, const WindowArguments& arguments) {
  c10::IValue& value = stack[*arguments.stride];
  if (!value.isInt() && !value.isIntList()) return;
  const bool isOne = value.isInt() || value.toIntList().size() == 1;  // for all dimensions
  std::vector<int64_t> strides = value.isInt() ? std::vector<int64_t>{value.toInt()} : value.toIntVector();
  if (std::all_of(strides.begin(), strides.end(), [](int64_t stride) { return stride <= kSmall; })) return;
  const Sizes sizes(stack, arguments);
  if (isOne) {
    double most = sizes.dimensions() == 0 ? kMost + 1.0 : 1;
    for (size_t i = 0; i < sizes.dimensions(); ++i) most = std::max(most, sizes.mostUseful(i));
    strides[0] = limited(strides[0], most);
  } else {
    for (size_t i = 0; i < sizes.dimensions() && strides.size() == sizes.dimensions(); ++i)
      strides[i] = limited(strides[i], sizes.mostUseful(i));
  }
  std::for_each(strides.begin(), strides.end(), expectFits);
  double product = 1;
  for (size_t i = 0; i < std::max(sizes.dimensions(), strides.size()); ++i)
    product *= static_cast<double>(strides[isOne ? 0 : std::min(i, strides.size() - 1)]);
  expect(product <= kMostTogether, FailureKind::kShape, "the product of the strides must be at most ", kMostTogether,
         ", got ", product);
  if (value.isInt())
    value = strides[0];
  else
    value = strides;
}

}  // namespace

std::optional<WindowArguments> windowArguments(const c10::FunctionSchema& schema) {
  const std::string& name = schema.name();
  const bool isConvolution = name.find("conv") != std::string::npos;
  size_t poolDimensions = 0;
  for (const size_t count : {1, 2, 3})
    if (name.find(c10::str("max_pool", count, "d")) != std::string::npos) poolDimensions = count;
  if (!isConvolution && poolDimensions == 0) return std::nullopt;
  const auto position = [&](const char* argument) -> std::optional<size_t> {
    for (size_t i = 0; i < schema.arguments().size(); ++i)
      if (schema.arguments()[i].name() == argument) return i;
    return std::nullopt;
  };
  const auto stride = position("stride");
  if (!stride) return std::nullopt;
  auto input = position("input");
  for (const char* other : {"self", "x"})
    if (!input) input = position(other);
  const bool isTransposed = name.find("transpose") != std::string::npos;
  return WindowArguments{
      input,        position("weight"), stride, position("padding"), position("dilation"), position("transposed"),
      isTransposed, poolDimensions};
}

void limitWindows(std::vector<c10::IValue>& stack, const WindowArguments& arguments) {
  if (arguments.poolDimensions > 0) {
    expectPooled(stack, arguments);
  } else {
    expectPadding(stack, arguments);
    limitStrides(stack, arguments);
  }
}

}  // namespace batch_cam
