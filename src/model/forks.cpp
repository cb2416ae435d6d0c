#include "polyact/src/model/forks.h"

#include <torch/csrc/jit/runtime/custom_operator.h>

#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Graph;
using torch::jit::Node;

c10::Symbol completed() {
  static const auto symbol = c10::Symbol::fromQualString("polyact::completed");
  return symbol;
}

// A future that is there already: futures may lie in lists, where nobody sees which fork they are of.
void complete(torch::jit::Stack& stack) {
  auto value = torch::jit::pop(stack);
  auto future = c10::make_intrusive<c10::ivalue::Future>(c10::AnyType::get());
  future->markCompleted(std::move(value));
  torch::jit::push(stack, std::move(future));
}

void inline_fork(Graph& graph, Node& fork) {
  torch::jit::WithInsertPoint at(&fork);
  const auto outputs = torch::jit::insertGraph(graph, *fork.g(c10::attr::Subgraph), fork.inputs());
  auto* result = outputs.size() == 1 ? outputs[0] : graph.insertNode(graph.createTuple(outputs))->output();
  auto* future = graph.insertNode(graph.create(completed(), {result}))->output();
  future->setType(fork.output()->type());
  fork.output()->replaceAllUsesWith(future);
  fork.destroy();
}

}  // namespace

void register_completed() {
  static const torch::jit::RegisterOperators operators({torch::jit::Operator(
      "polyact::completed(t x) -> Future(t)", complete, c10::AliasAnalysisKind::CONSERVATIVE)});
}

void inline_forks(const std::shared_ptr<Graph>& graph) {
  // What a fork runs may fork again.
  for (bool found = true; found;) {
    found = false;
    walk(*graph->block(), [&](Node& node) {
      if (node.kind() != c10::prim::fork) return;
      inline_fork(*graph, node);
      found = true;
    });
  }
  walk(*graph->block(), [](Node& node) {
    if (node.kind() != c10::aten::wait || node.input()->node()->kind() != completed()) return;
    node.output()->replaceAllUsesWith(node.input()->node()->input());
    node.destroy();
  });
  walk(*graph->block(), [](Node& node) {
    if (node.kind() == completed() && !node.output()->hasUses()) node.destroy();
  });
}

}  // namespace polyact
