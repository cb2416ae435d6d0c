#include "polyact/src/model/swap.h"

#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

Node* swapped(Graph& graph, Node& node, Value* table, int64_t index) {
  const std::string name = node.kind().toQualString();
  const bool in_place = name.back() == '_';
  torch::jit::WithInsertPoint at(&node);
  auto* index_value = graph.insertConstant(index);
  auto* swapped = graph.create(
      c10::Symbol::fromQualString(in_place ? "polyact::site_" : "polyact::site"), {node.inputs()[0], table, index_value});
  swapped->copyMetadata(&node);
  graph.insertNode(swapped);
  node.outputs()[0]->replaceAllUsesWith(swapped->output());
  node.destroy();
  return swapped;
}

}  // namespace

void swap_sites(Graph& graph, std::vector<Node*>& nodes, rust::Slice<const size_t> sites) {
  auto* table = graph.addInput("sites");
  table->setType(c10::AnyType::get());
  for (size_t index = 0; index < sites.size(); index++) {
    auto& node = nodes.at(sites[index]);
    node = swapped(graph, *node, table, static_cast<int64_t>(index));
  }
  // Scripted GoogLeNet and Inception remark at every call that they return a tuple.
  walk(*graph.block(), [](Node& node) {
    if (node.kind() == c10::aten::warn) node.destroy();
  });
  graph.lint();
}

}  // namespace polyact
