#include "polyact/src/model/naming.h"

#include "polyact/src/model/writes.h"

namespace polyact {

std::string node_name(const torch::jit::Node& node) {
  std::string path, last_class;
  if (auto stack = node.callstack()) {
    for (const auto& entry : (*stack)->vec()) {
      const auto& instance = std::get<2>(entry);
      if (!instance || !instance->class_type()) continue;
      const auto name = instance->instance_name();
      if (name.empty() || name == "self" || name == "SELF") continue;
      path += (path.empty() ? "" : ".") + name;
      last_class = instance->class_type()->name()->qualifiedName();
    }
  }
  const bool is_module = last_class.find("torch.nn.modules.activation.") != std::string::npos ||
                         last_class.find("torch.nn.modules.pooling.") != std::string::npos;
  if (is_module) return path;
  std::string function = node.kind().toUnqualString();
  if (function.size() > 1 && function.back() == '_') function.pop_back();
  return path.empty() ? function : path + "." + function;
}

void forget_functions(torch::jit::Graph& graph, torch::jit::Function& forward) {
  walk(*graph.block(), [&](torch::jit::Node& node) {
    if (node.callstack()) node.setCallStack(c10::make_intrusive<torch::jit::InlinedCallStack>(&forward, node.sourceRange()));
  });
}

}  // namespace polyact
