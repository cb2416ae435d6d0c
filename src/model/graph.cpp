#include "polyact/src/model/graph.h"

#include <ATen/Context.h>
#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <unordered_map>

#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/convolution.h"
#include "polyact/src/model/naming.h"
#include "polyact/src/model/weights.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

void number(Block& block, std::vector<Node*>& nodes) {
  for (auto* node : block.nodes()) {
    // Nothing flows into a constant.
    if (node->kind() == c10::prim::Constant) continue;
    nodes.push_back(node);
    for (auto* inner : node->blocks()) number(*inner, nodes);
  }
}

bool is_tensor(const c10::TypePtr& type) { return type->isSubtypeOf(*c10::TensorType::get()); }

bool holds_tensors(const c10::TypePtr& type) {
  if (is_tensor(type)) return true;
  const auto inside = type->containedTypes();
  return std::any_of(inside.begin(), inside.end(), holds_tensors);
}

// A constant that has no say in how a result lies.
bool is_plain(const Value* value) {
  const auto known = torch::jit::toIValue(value);
  if (!known) return false;
  return !known->isTensor() || (known->toTensor().is_contiguous() && known->toTensor().dim() <= 4);
}

RawConstant constant(const Value* value) {
  RawConstant constant{ConstantKind::Unknown, 0, 0, {}};
  const auto known = torch::jit::toIValue(value);
  if (value->type()->kind() == c10::TypeKind::NoneType || (known && known->isNone())) {
    constant.kind = ConstantKind::None;
  } else if (known && known->isBool()) {
    constant.kind = ConstantKind::Bool;
    constant.integer = known->toBool();
  } else if (known && known->isInt()) {
    constant.kind = ConstantKind::Int;
    constant.integer = known->toInt();
  } else if (known && known->isDouble()) {
    constant.kind = ConstantKind::Float;
    constant.number = known->toDouble();
  } else if (known && known->isIntList()) {
    constant.kind = ConstantKind::Ints;
    for (const auto integer : known->toIntVector()) constant.integers.push_back(integer);
  }
  return constant;
}

// How often the body of a loop runs; -1 of everything else.
int64_t turns(const Node& node) {
  if (node.kind() != c10::prim::Loop) return -1;
  const auto count = torch::jit::toIValue(node.inputs()[0]), first = torch::jit::toIValue(node.inputs()[1]);
  const auto next = torch::jit::toIValue(node.blocks()[0]->outputs()[0]);
  const auto goes_on = [](const std::optional<c10::IValue>& condition) { return condition && condition->isBool() && condition->toBool(); };
  return count && count->isInt() && goes_on(first) && goes_on(next) ? count->toInt() : -1;
}

class Description {
 public:
  explicit Description(const std::shared_ptr<Graph>& graph) : writes_(graph), nodes_(numbered(*graph)) {
    const bool packs = at::globalContext().hasMKLDNN() && at::globalContext().userEnabledMkldnn();
    for (size_t index = 0; index < nodes_.size(); index++) {
      const auto& node = *nodes_[index];
      places_.emplace(&node, index);
      const auto [gain, takes] = weights(node);
      graph_.nodes.push_back({node.kind().toQualString(), node_name(node), numbers(node.inputs()), numbers(node.outputs()), {}, {}, turns(node),
                              node.kind() == c10::prim::ConstantChunk ? node.i(c10::attr::dim) : 0, packs && Convolution::of(node), gain, takes});
    }
    add(*graph->block());
    for (auto* writer : writes_.all()) add_writes(writer);
  }

  RawGraph take() { return std::move(graph_); }

 private:
  size_t add(Block& block) {
    const auto number = graph_.blocks.size();
    graph_.blocks.push_back({numbers(block.inputs()), {}, numbers(block.outputs())});
    for (auto* node : block.nodes()) {
      const auto found = places_.find(node);
      if (found == places_.end()) continue;
      graph_.blocks[number].nodes.push_back(found->second);
      for (auto* inner : node->blocks()) {
        const auto inside = add(*inner);
        graph_.nodes[found->second].blocks.push_back(inside);
      }
    }
    return number;
  }

  // The values that see memory to which `node` may write.
  void add_writes(Node* node) {
    const auto found = places_.find(node);
    if (found == places_.end()) return;
    for (const auto& [value, number] : numbers_) {
      if (writes_.any(value) && writes_.by(node, value)) graph_.nodes[found->second].writes.push_back(number);
    }
  }

  template <typename Values>
  rust::Vec<size_t> numbers(const Values& values) {
    rust::Vec<size_t> numbers;
    for (const auto* value : values) {
      const auto [found, is_new] = numbers_.emplace(value, numbers_.size());
      if (is_new) graph_.values.push_back({is_tensor(value->type()), holds_tensors(value->type()), is_plain(value), constant(value)});
      numbers.push_back(found->second);
    }
    return numbers;
  }

  Writes writes_;
  std::vector<Node*> nodes_;
  RawGraph graph_;
  std::unordered_map<const Value*, size_t> numbers_;
  std::unordered_map<const Node*, size_t> places_;
};

}  // namespace

RawGraph describe(const std::shared_ptr<Graph>& graph) { return Description(graph).take(); }

std::vector<Node*> numbered(Graph& graph) {
  std::vector<Node*> nodes;
  number(*graph.block(), nodes);
  return nodes;
}

}  // namespace polyact
