#include "polyact/src/model/graph.h"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>

#include "polyact/src/model/bridge.rs.h"

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

class Description {
 public:
  Description(const Writes& writes, const std::unordered_map<const Node*, int64_t>& sites) : writes_(writes), sites_(sites) {}

  RawGraph of(Graph& graph) {
    add(*graph.block());
    for (const auto& [node, index] : places_) add_writes(node, index);
    graph_.values = numbers_.size();
    return std::move(graph_);
  }

 private:
  size_t add(Block& block) {
    const auto number = graph_.blocks.size();
    graph_.blocks.push_back({numbers(block.inputs()), {}, {}});
    for (auto* node : block.nodes()) {
      // Nothing flows into a constant.
      if (node->kind() == c10::prim::Constant) continue;
      const auto index = graph_.nodes.size();
      graph_.nodes.push_back({node->kind().toQualString(), numbers(node->inputs()), numbers(node->outputs()), {}, {}, site(node), turns(*node)});
      places_.emplace_back(node, index);
      rust::Vec<size_t> inner;
      for (auto* block_inside : node->blocks()) inner.push_back(add(*block_inside));
      graph_.nodes[index].blocks = std::move(inner);
      graph_.blocks[number].nodes.push_back(index);
    }
    graph_.blocks[number].returns = numbers(block.outputs());
    return number;
  }

  // The values that see memory to which `node` may write.
  void add_writes(Node* node, size_t index) {
    if (std::find(writes_.all().begin(), writes_.all().end(), node) == writes_.all().end()) return;
    for (const auto& [value, number] : numbers_) {
      if (writes_.any(value) && writes_.by(node, value)) graph_.nodes[index].writes.push_back(number);
    }
  }

  int64_t site(const Node* node) const {
    const auto found = sites_.find(node);
    return found == sites_.end() ? -1 : found->second;
  }

  static int64_t turns(const Node& node) {
    if (node.kind() != c10::prim::Loop) return -1;
    const auto count = torch::jit::toIValue(node.inputs()[0]), first = torch::jit::toIValue(node.inputs()[1]);
    const auto next = torch::jit::toIValue(node.blocks()[0]->outputs()[0]);
    const auto goes_on = [](const std::optional<c10::IValue>& condition) { return condition && condition->isBool() && condition->toBool(); };
    return count && count->isInt() && goes_on(first) && goes_on(next) ? count->toInt() : -1;
  }

  rust::Vec<size_t> numbers(at::ArrayRef<Value*> values) {
    rust::Vec<size_t> numbers;
    for (const auto* value : values) numbers.push_back(numbers_.emplace(value, numbers_.size()).first->second);
    return numbers;
  }

  const Writes& writes_;
  const std::unordered_map<const Node*, int64_t>& sites_;
  RawGraph graph_;
  std::unordered_map<const Value*, size_t> numbers_;
  std::vector<std::pair<Node*, size_t>> places_;
};

}  // namespace

RawGraph describe(Graph& graph, const Writes& writes, const std::unordered_map<const Node*, int64_t>& sites) {
  return Description(writes, sites).of(graph);
}

}  // namespace polyact
