#include "polyact/src/model/convolution.h"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/add.h>
#include <ATen/ops/mkldnn_reorder_conv2d_weight.h>
#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/operator.h"

namespace polyact {

namespace {

using torch::jit::AliasDb;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;
using Integers = std::vector<int64_t>;
using Scalars = torch::List<std::optional<at::Scalar>>;

const auto convolution = c10::Symbol::fromQualString("polyact::convolution");

// A convolution over [N, C, H, W].
struct Convolution {
  std::optional<at::Tensor> bias;
  Integers shape, stride, padding, dilation;
  int64_t groups;
  // As in the archive until the first input comes, then packed.
  mutable at::Tensor weight;
  mutable std::mutex packing;

  int64_t reach(size_t axis) const { return dilation[axis] * (shape[2 + axis] - 1) + 1; }
  at::Tensor weight_for(const at::Tensor& x) const;
  void check(const at::Tensor& x) const;
  at::Tensor run(const at::Tensor& x) const;
  void run_onto(at::Tensor& sum, const at::Tensor& x) const;
};

// oneDNN does not check what it is given.
void Convolution::check(const at::Tensor& x) const {
  const auto channels = shape[1] * groups;
  TORCH_CHECK(x.dim() == 4, "a convolution over images was given an input of shape ", x.sizes());
  TORCH_CHECK(x.size(1) == channels, "a convolution expected input with ", channels, " channels and was given ",
              x.size(1), " channels, shape ", x.sizes());
  TORCH_CHECK(x.scalar_type() == at::kFloat, "a convolution of float weights was given ", x.scalar_type());
  for (size_t axis : {0, 1}) {
    TORCH_CHECK(x.size(2 + axis) + 2 * padding[axis] >= reach(axis), "a convolution's kernel, shape ", shape,
                ", is larger than its input of shape ", x.sizes());
  }
}

// The order that oneDNN wants depends on the input, the number of images included. The first input decides; for another,
// as the last batch, oneDNN reorders the weights again in every call.
at::Tensor Convolution::weight_for(const at::Tensor& x) const {
  std::lock_guard lock(packing);
  if (!weight.is_mkldnn()) {
    weight = at::mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), padding, stride, dilation, groups, x.sizes());
  }
  return weight;
}

at::Tensor Convolution::run(const at::Tensor& x) const {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef,
                               at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                               Scalars, std::optional<std::string_view>);
  static const auto run = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("mkldnn::_convolution_pointwise", "")
                              .typed<Signature>();
  return run.call(x, weight_for(x), bias, padding, stride, dilation, groups, "none", Scalars(), "");
}

// Adds the convolution of x to `sum`.
void Convolution::run_onto(at::Tensor& sum, const at::Tensor& x) const {
  using Signature = at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                                std::optional<at::Scalar>, std::optional<std::string_view>,
                                Scalars, std::optional<std::string_view>);
  static const auto run = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("mkldnn::_convolution_pointwise_", "binary")
                              .typed<Signature>();
  run.call(sum, x, weight_for(x), bias, padding, stride, dilation, groups, "add", 1, std::nullopt,
           Scalars(), "");
}

Integers output_shape(const Convolution& of, const at::Tensor& x) {
  Integers output{x.size(0), of.shape[0]};
  for (size_t axis : {0, 1}) {
    output.push_back((x.size(2 + axis) + 2 * of.padding[axis] - of.reach(axis)) / of.stride[axis] + 1);
  }
  return output;
}

// The convolutions of a network, as a value of its graph.
struct Convolutions : torch::CustomClassHolder {
  std::vector<std::unique_ptr<Convolution>> all;
};

// Of x; the table of convolutions and the index of this one; what is added, or none.
void run(torch::jit::Stack& stack) {
  auto residual = torch::jit::pop(stack).toOptional<at::Tensor>();
  const auto index = torch::jit::pop(stack).toInt();
  const auto convolutions = c10::static_intrusive_pointer_cast<Convolutions>(torch::jit::pop(stack).toCapsule());
  const auto x = torch::jit::pop(stack).toTensor();
  const auto& of = *convolutions->all[static_cast<size_t>(index)];
  of.check(x);
  const bool onto = residual && is_given_away(*residual) && residual->scalar_type() == at::kFloat &&
                    residual->is_contiguous(at::MemoryFormat::ChannelsLast) && residual->sizes() == output_shape(of, x);
  if (onto) {
    of.run_onto(*residual, x);
    torch::jit::push(stack, std::move(*residual));
  } else if (residual) {
    torch::jit::push(stack, at::add(of.run(x), *residual));
  } else {
    torch::jit::push(stack, of.run(x));
  }
}

// The interpreter keeps one operation for all nodes of a schema, so that the convolution is an input.
torch::jit::RegisterOperators operators({torch::jit::Operator(
    "polyact::convolution(Tensor x, Any convolutions, int index, Tensor? residual) -> Tensor", run,
    c10::AliasAnalysisKind::FROM_SCHEMA)});

// Two integers, from a list of two or of one for both.
std::optional<Integers> pair(const Value* value) {
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
  return list.size() == 2 ? std::optional(list) : std::nullopt;
}

// What `node` is, if it is a convolution over two dimensions with constant f32 weights on the CPU.
std::unique_ptr<Convolution> recognise(const Node& node) {
  const bool plain = node.kind() == c10::aten::conv2d;
  if (!plain && node.kind() != c10::aten::_convolution && node.kind() != c10::aten::convolution) return nullptr;
  auto constant = [&](size_t i) { return torch::jit::toIValue(node.inputs()[i]); };
  const auto weight = constant(1), bias = constant(2), transposed = constant(6), groups = constant(plain ? 6 : 8);
  if (!weight || !weight->isTensor() || !bias || !groups) return nullptr;
  if (!plain && (!transposed || transposed->toBool())) return nullptr;
  const auto& tensor = weight->toTensor();
  if (tensor.dim() != 4 || tensor.scalar_type() != at::kFloat || !tensor.is_cpu()) return nullptr;
  const auto stride = pair(node.inputs()[3]), padding = pair(node.inputs()[4]), dilation = pair(node.inputs()[5]);
  if (!stride || !padding || !dilation) return nullptr;
  auto of = std::make_unique<Convolution>();
  of->bias = bias->toOptional<at::Tensor>();
  of->shape = tensor.sizes().vec();
  of->stride = *stride;
  of->padding = *padding;
  of->dilation = *dilation;
  of->groups = groups->toInt();
  of->weight = tensor.detach();
  return of;
}

// The addition, without a factor, that alone uses the output of `node` and can be done at its place.
Node* addition(Node* node, AliasDb& aliases) {
  const auto* value = node->output();
  if (value->uses().size() != 1) return nullptr;
  auto* add = value->uses()[0].user;
  if ((add->kind() != c10::aten::add && add->kind() != c10::aten::add_) || add->inputs().size() != 3) return nullptr;
  for (size_t i : {0, 1}) {
    if (!add->inputs()[i]->type()->isSubtypeOf(*c10::TensorType::get())) return nullptr;
  }
  // Written into the other summand, it would be seen by whoever else holds that.
  if (add->kind() == c10::aten::add_ && add->inputs()[0] != value) return nullptr;
  const auto factor = torch::jit::toIValue(add->inputs()[2]);
  if (!factor || !factor->isInt() || factor->toInt() != 1) return nullptr;
  const bool reachable = add->owningBlock() == node->owningBlock() && aliases.moveBeforeTopologicallyValid(node, add);
  return reachable ? add : nullptr;
}

// Whether only constants stand between `first` and `next`.
bool adjacent(Node* first, const Node* next) {
  for (auto* node = first->next(); node != next; node = node->next()) {
    if (node->kind() != c10::prim::Constant) return false;
  }
  return true;
}

// Puts the operator in the place of `node` and of the addition after it, if there is one.
void replace(Graph& graph, Node* node, Node* add, Value* convolutions, int64_t index) {
  auto* last = add ? add : node;
  torch::jit::WithInsertPoint at(last);
  auto* residual = add ? add->inputs()[add->inputs()[0] == node->output() ? 1 : 0] : graph.insertConstant(c10::IValue());
  auto* joined =
      graph.create(convolution, {node->inputs()[0], convolutions, graph.insertConstant(index), residual});
  joined->copyMetadata(last);
  graph.insertNode(joined);
  last->output()->replaceAllUsesWith(joined->output());
  if (add) add->destroy();
  node->destroy();
}

void collect(torch::jit::Block& block, std::vector<Node*>& nodes) {
  for (auto* node : block.nodes()) {
    for (auto* inner : node->blocks()) collect(*inner, nodes);
    nodes.push_back(node);
  }
}

}  // namespace

c10::IValue pack_convolutions(const std::shared_ptr<Graph>& graph) {
  auto convolutions = c10::make_intrusive<Convolutions>();
  auto* value = graph->addInput("convolutions");
  value->setType(c10::AnyType::get());
  std::vector<Node*> nodes;
  if (at::globalContext().hasMKLDNN() && at::globalContext().userEnabledMkldnn()) collect(*graph->block(), nodes);
  std::vector<std::pair<Node*, Node*>> found;
  {
    AliasDb aliases(graph);
    std::unordered_set<Node*> taken;
    for (auto* node : nodes) {
      auto of = recognise(*node);
      if (!of) continue;
      auto* add = addition(node, aliases);
      if (add && !taken.insert(add).second) add = nullptr;
      found.emplace_back(node, add);
      convolutions->all.push_back(std::move(of));
    }
  }
  for (size_t i = 0; i < found.size(); i++) {
    auto [node, add] = found[i];
    // A later move may have put something between them.
    if (add && !adjacent(node, add)) add = nullptr;
    replace(*graph, node, add, value, static_cast<int64_t>(i));
  }
  torch::jit::EliminateDeadCode(graph);
  graph->lint();
  return c10::IValue::make_capsule(std::move(convolutions));
}

}  // namespace polyact
