#include "polyact/src/model/strides.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

namespace polyact {

namespace {

// Whether a convolution of x may lie otherwise than PyTorch shows it: PyTorch's is contiguous.
bool may_be_prepared(const at::Tensor& x) {
  return x.defined() && x.is_cpu() && x.layout() == at::kStrided && x.scalar_type() == at::kFloat && x.dim() == 4 &&
         !suggests_channels_last(x);
}

void prepares(torch::jit::Stack& stack) {
  const auto x = torch::jit::pop(stack).toTensor();
  torch::jit::push(stack, may_be_prepared(x));
}

void leave(torch::jit::Stack& stack) {
  const bool prepared = torch::jit::pop(stack).toBool();
  auto x = torch::jit::pop(stack).toTensor();
  torch::jit::push(stack, prepared ? in_default_strides(x) : std::move(x));
}

void meet(torch::jit::Stack& stack) {
  const bool all = torch::jit::pop(stack).toBool();
  const bool prepared = torch::jit::pop(stack).toBool();
  auto x = torch::jit::pop(stack).toTensor();
  torch::jit::push(stack, prepared && !all ? in_default_strides(x) : std::move(x));
}

}  // namespace

void register_strides() {
  static const torch::jit::RegisterOperators operators({
      torch::jit::Operator("polyact::prepares(Tensor x) -> bool", prepares, c10::AliasAnalysisKind::FROM_SCHEMA),
      torch::jit::Operator(
          "polyact::leave(Tensor(a) x, bool prepared) -> Tensor(a)", leave, c10::AliasAnalysisKind::FROM_SCHEMA),
      torch::jit::Operator(
          "polyact::meet(Tensor(a) x, bool prepared, bool all) -> Tensor(a)", meet, c10::AliasAnalysisKind::FROM_SCHEMA),
  });
}

at::Tensor in_default_strides(const at::Tensor& x) {
  std::vector<int64_t> strides(static_cast<size_t>(x.dim()));
  int64_t step = 1;
  for (size_t axis = strides.size(); axis-- > 0;) {
    strides[axis] = step;
    step *= std::max<int64_t>(x.size(static_cast<int64_t>(axis)), 1);
  }
  if (x.strides() == at::IntArrayRef(strides)) return x;
  if (x.is_contiguous()) return x.as_strided(x.sizes(), strides);
  return at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::Contiguous)).copy_(x);
}

bool suggests_channels_last(const at::Tensor& x) {
  return x.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
}

}  // namespace polyact
