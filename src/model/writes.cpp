#include "polyact/src/model/writes.h"

#include <torch/csrc/jit/runtime/custom_operator.h>

#include <algorithm>
#include <string>
#include <unordered_set>

namespace polyact {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

namespace {

// Nodes with a schema that writes to nothing never write; of all others the alias analysis is asked.
bool may_write(const Node& node) {
  if (!node.blocks().empty()) return false;
  const auto* schema = node.maybeSchema();
  const auto* operation = node.maybeOperator();
  const bool told = operation && operation->aliasAnalysisKind() == c10::AliasAnalysisKind::FROM_SCHEMA;
  return !schema || schema->is_mutable() || !told;
}

// The tensor of which `node` may give a view, or itself, with nothing in its schema that tells of it; none of all else.
Value* hidden_source(Node& node) {
  static const std::unordered_set<std::string> hiding = {"aten::type_as", "aten::atleast_1d", "aten::atleast_2d", "aten::atleast_3d"};
  const std::string name = node.kind().toQualString();
  if (hiding.count(name)) return node.inputs()[0];
  if (name != "aten::einsum") return nullptr;
  auto* list = node.inputs()[1]->node();
  return list->kind() == c10::prim::ListConstruct && list->inputs().size() == 1 ? list->inputs()[0] : nullptr;
}

}  // namespace

void register_view() {
  static const torch::jit::RegisterOperators operators({torch::jit::Operator(
      "polyact::view(Tensor given, Tensor(a) x) -> Tensor(a)",
      [](torch::jit::Stack& stack) { torch::jit::drop(stack, 1); }, c10::AliasAnalysisKind::FROM_SCHEMA)});
}

void show_views(Graph& graph) {
  walk(*graph.block(), [&](Node& node) {
    auto* source = hidden_source(node);
    if (!source || node.outputs().size() != 1 || source->type()->kind() != c10::TypeKind::TensorType) return;
    auto* view = graph.create(c10::Symbol::fromQualString("polyact::view"), {node.output(), source});
    view->copyMetadata(&node);
    view->output()->setType(node.output()->type());
    view->insertAfter(&node);
    node.output()->replaceAllUsesAfterNodeWith(view, view->output());
  });
}

Writes::Writes(const std::shared_ptr<Graph>& graph) : aliases_(graph) {
  walk(*graph->block(), [&](Node& node) {
    if (may_write(node)) writers_.push_back(&node);
  });
}

bool Writes::over_before(Value* value, const Node* node) const { return over(value, node, false); }

bool Writes::over_at(Value* value) const { return over(value, value->node(), true); }

// Whether every writer stands before `node`, or is the node `itself`.
bool Writes::over(Value* value, const Node* node, bool itself) const {
  if (!any(value)) return true;
  const auto* block = value->node()->owningBlock();
  const auto* reader = ancestor(node, block);
  if (!reader) return false;
  return std::all_of(writers_.begin(), writers_.end(), [&](Node* writer) {
    if ((itself && writer == node) || !by(writer, value)) return true;
    const auto* at = ancestor(writer, block);
    return at && at != reader && at->isBefore(reader);
  });
}

const Node* ancestor(const Node* node, const Block* block) {
  while (node && node->owningBlock() != block) node = node->owningBlock()->owningNode();
  return node;
}

}  // namespace polyact
