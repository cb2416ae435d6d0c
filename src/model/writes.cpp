#include "polyact/src/model/writes.h"

#include <ATen/ops/einsum.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

#include <algorithm>

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

torch::jit::RegisterOperators views({torch::jit::Operator(
    "polyact::einsum(str equation, Tensor(a) x) -> Tensor(a)",
    [](torch::jit::Stack& stack) {
      const auto x = torch::jit::pop(stack).toTensor();
      const auto equation = torch::jit::pop(stack).toStringRef();
      torch::jit::push(stack, at::einsum(equation, {x}));
    },
    c10::AliasAnalysisKind::FROM_SCHEMA)});

}  // namespace

void show_views(Graph& graph) {
  const auto einsum = c10::Symbol::fromQualString("aten::einsum"), shown = c10::Symbol::fromQualString("polyact::einsum");
  walk(*graph.block(), [&](Node& node) {
    if (node.kind() != einsum) return;
    auto* list = node.inputs()[1]->node();
    if (list->kind() != c10::prim::ListConstruct || list->inputs().size() != 1) return;
    torch::jit::WithInsertPoint at(&node);
    auto* view = graph.insertNode(graph.create(shown, {node.inputs()[0], list->inputs()[0]}));
    view->copyMetadata(&node);
    view->output()->setType(node.output()->type());
    node.output()->replaceAllUsesWith(view->output());
    node.destroy();
    if (!list->hasUses()) list->destroy();
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
