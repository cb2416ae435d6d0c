#include "polyact/src/model/convolution.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/add.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/mkldnn_reorder_conv2d_weight.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

#include <algorithm>
#include <optional>

#include "polyact/src/model/operator.h"
#include "polyact/src/model/strides.h"

namespace polyact {

namespace {

using torch::jit::Node;
using torch::jit::Value;
using Integers = std::vector<int64_t>;
using Scalars = torch::List<std::optional<at::Scalar>>;

// What oneDNN counts in.
constexpr int64_t most = std::numeric_limits<int32_t>::max();

// Two integers in [least, most], from a list of two or of one for both.
std::optional<Integers> pair(const Value* value, int64_t least) {
  auto constant = torch::jit::toIValue(value);
  Integers list;
  if (constant && constant->isIntList()) {
    list = constant->toIntVector();
  } else if (!constant && value->node()->kind() == c10::prim::ListConstruct) {
    for (const auto* element : value->node()->inputs()) {
      auto integer = torch::jit::toIValue(element);
      if (!integer || !integer->isInt()) return std::nullopt;
      list.push_back(integer->toInt());
    }
  }
  if (list.size() == 1) list.push_back(list[0]);
  const bool fits = std::all_of(list.begin(), list.end(), [&](int64_t value) { return value >= least && value <= most; });
  return list.size() == 2 && fits ? std::optional(list) : std::nullopt;
}

}  // namespace

std::unique_ptr<Convolution> Convolution::of(const Node& node) {
  const bool plain = node.kind() == c10::aten::conv2d;
  if (!plain && node.kind() != c10::aten::_convolution && node.kind() != c10::aten::convolution) return nullptr;
  auto constant = [&](size_t i) { return torch::jit::toIValue(node.inputs()[i]); };
  const auto weight = constant(1), bias = constant(2), transposed = constant(6), groups = constant(plain ? 6 : 8);
  if (!weight || !weight->isTensor() || !bias || !groups) return nullptr;
  if (!plain && (!transposed || transposed->toBool())) return nullptr;
  const auto& tensor = weight->toTensor();
  if (tensor.dim() != 4 || tensor.scalar_type() != at::kFloat || !tensor.is_cpu() || tensor.numel() == 0) return nullptr;
  // Of weights that lie channels-last PyTorch makes channels-last outputs, whatever the input is.
  if (tensor.layout() != at::kStrided || tensor.suggest_memory_format() != at::MemoryFormat::Contiguous) return nullptr;
  const auto stride = pair(node.inputs()[3], 1), padding = pair(node.inputs()[4], 0), dilation = pair(node.inputs()[5], 1);
  if (!stride || !padding || !dilation || groups->toInt() < 1 || tensor.size(0) % groups->toInt() != 0) return nullptr;
  auto of = std::make_unique<Convolution>();
  of->bias_ = bias->toOptional<at::Tensor>();
  if (of->bias_ && (of->bias_->dim() != 1 || of->bias_->size(0) != tensor.size(0) || of->bias_->scalar_type() != at::kFloat)) return nullptr;
  of->shape_ = tensor.sizes().vec();
  of->stride_ = *stride;
  of->padding_ = *padding;
  of->dilation_ = *dilation;
  of->groups_ = groups->toInt();
  of->weight_ = tensor.detach();
  return of;
}

// oneDNN does not check what it is given.
bool Convolution::takes(const at::Tensor& x) const {
  if (x.dim() != 4 || x.size(1) != shape_[1] * groups_ || x.scalar_type() != at::kFloat || x.numel() == 0) return false;
  // Of one channel to one column with strides that differ, oneDNN's result is wrong.
  if (x.size(1) == 1 && stride_[0] != stride_[1]) return false;
  return x.size(2) + 2 * padding_[0] >= reach(0) && x.size(3) + 2 * padding_[1] >= reach(1);
}

Integers Convolution::output_shape(const at::Tensor& x) const {
  Integers output{x.size(0), shape_[0]};
  for (size_t axis : {0, 1}) {
    output.push_back((x.size(2 + axis) + 2 * padding_[axis] - reach(axis)) / stride_[axis] + 1);
  }
  return output;
}

// The order that oneDNN wants depends on the input, the number of images included. The first input decides; for another,
// as the last batch, oneDNN reorders the weights again in every call.
at::Tensor Convolution::packed_for(const at::Tensor& x) const {
  std::lock_guard lock(packing_);
  if (!weight_.is_mkldnn()) {
    weight_ = at::mkldnn_reorder_conv2d_weight(weight_.to_mkldnn(), padding_, stride_, dilation_, groups_, x.sizes());
  }
  return weight_;
}

at::Tensor Convolution::as_pytorch(const at::Tensor& x) const {
  at::Tensor weight;
  {
    std::lock_guard lock(packing_);
    weight = weight_.is_mkldnn() ? weight_.to_dense() : weight_;
  }
  return at::conv2d(x, weight, bias_, stride_, padding_, dilation_, groups_);
}

at::Tensor Convolution::prepared(const at::Tensor& x) const {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef,
                               at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                               Scalars, std::optional<std::string_view>);
  static const auto run = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("mkldnn::_convolution_pointwise", "")
                              .typed<Signature>();
  return run.call(x, packed_for(x), bias_, padding_, stride_, dilation_, groups_, "none", Scalars(), "");
}

void Convolution::prepared_onto(at::Tensor& sum, const at::Tensor& x) const {
  using Signature = at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                                std::optional<at::Scalar>, std::optional<std::string_view>,
                                Scalars, std::optional<std::string_view>);
  static const auto run = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("mkldnn::_convolution_pointwise_", "binary")
                              .typed<Signature>();
  run.call(sum, x, packed_for(x), bias_, padding_, stride_, dilation_, groups_, "add", 1, std::nullopt, Scalars(), "");
}

namespace {

// Whether the convolution of x can be added to a tensor that lies as `residual` does.
bool can_take_sum(const Convolution& of, const at::Tensor& x, const at::Tensor& residual) {
  return residual.scalar_type() == at::kFloat && residual.is_contiguous(at::MemoryFormat::ChannelsLast) &&
         residual.sizes() == of.output_shape(x);
}

// Of x; the table of convolutions and the index of this one; whether x lies otherwise than PyTorch shows it; what is
// added, or none, and whether it is the first summand.
void run(torch::jit::Stack& stack) {
  const bool residual_first = torch::jit::pop(stack).toBool();
  auto residual = torch::jit::pop(stack).toOptional<at::Tensor>();
  const bool prepared = torch::jit::pop(stack).toBool();
  const auto index = torch::jit::pop(stack).toInt();
  const auto convolutions = c10::static_intrusive_pointer_cast<Convolutions>(torch::jit::pop(stack).toCapsule());
  const auto x = torch::jit::pop(stack).toTensor();
  const auto& of = *convolutions->all[static_cast<size_t>(index)];
  const bool takes = prepared && of.takes(x);
  if (takes && residual && can_take_sum(of, x, *residual)) {
    // Whoever else holds it, the sum is the same: oneDNN's, which may round otherwise than an addition of its own.
    auto sum = is_given_away(*residual) ? std::move(*residual) : residual->clone();
    of.prepared_onto(sum, x);
    torch::jit::push(stack, std::move(sum));
    return;
  }
  // What oneDNN does not take PyTorch may, or say why not.
  auto y = takes ? of.prepared(x) : of.as_pytorch(prepared ? in_default_strides(x) : x);
  // The first summand decides how the sum lies.
  if (residual) y = residual_first ? at::add(*residual, y) : at::add(y, *residual);
  torch::jit::push(stack, std::move(y));
}

}  // namespace

void register_convolution() {
  // The interpreter keeps one operation for all nodes of a schema, so that the convolution is an input.
  static const torch::jit::RegisterOperators operators({torch::jit::Operator(
      "polyact::convolution(Tensor x, Any convolutions, int index, bool prepared, Tensor? residual, bool residual_first) "
      "-> Tensor",
      run, c10::AliasAnalysisKind::FROM_SCHEMA)});
}

}  // namespace polyact
