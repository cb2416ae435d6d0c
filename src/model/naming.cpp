#include "polyact/src/model/naming.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <map>

#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

// The modules of one class, which share its methods.
using Instances = std::vector<Module>;

// What all of `instances` have at the end of `path`; none if these are not modules of one class.
std::vector<c10::IValue> at_path(const Instances& instances, const std::vector<std::string>& path) {
  std::vector<c10::IValue> found;
  for (const auto& instance : instances) {
    c10::IValue value = instance._ivalue();
    for (const auto& name : path) value = value.toObject()->getAttr(name);
    if (!value.isModule() || value.type() != (found.empty() ? value : found[0]).type()) return {};
    found.push_back(std::move(value));
  }
  return found;
}

// Lets `call`, of a method of a member of the graph's own module, find this member under its whole path. libtorch notes of
// the path to a module that is called the last name alone, and nothing of one that is declared as an interface.
void name_member(Node& call, c10::ClassType& type, const Instances& instances) {
  std::vector<std::string> path;
  auto* self = call.inputs()[0];
  const auto declared = self->type();
  for (; self->node()->kind() == c10::prim::GetAttr; self = self->node()->input()) path.insert(path.begin(), self->node()->s(c10::attr::name));
  if (path.empty() || self != call.owningGraph()->inputs()[0] || (path.size() == 1 && declared->cast<c10::ClassType>())) return;
  const auto members = at_path(instances, path);
  if (members.empty()) return;
  // A name of its own beside the first of the path, if that is all of it.
  std::string name = path.size() == 1 ? "." : "";
  for (const auto& part : path) name += (&part == &path.front() ? "" : ".") + part;
  if (!type.hasAttribute(name)) {
    type.addAttribute(name, members[0].type());
    for (size_t i = 0; i < members.size(); ++i) instances[i]._ivalue()->setAttr(name, members[i]);
  }
  torch::jit::WithInsertPoint at(&call);
  auto* member = call.owningGraph()->insertGetAttr(self, name);
  member->node()->copyMetadata(&call);
  call.replaceInput(0, member);
}

}  // namespace

void name_members(const Module& module) {
  std::map<c10::ClassTypePtr, Instances> classes;
  for (const auto& member : module.modules()) classes[member.type()].push_back(member);
  for (const auto& [type, instances] : classes) {
    for (auto* method : type->methods()) {
      auto* function = torch::jit::tryToGraphFunction(*method);
      if (!function) continue;
      function->ensure_defined();
      walk(*function->graph()->block(), [&](Node& node) {
        if (node.kind() == c10::prim::CallMethod) name_member(node, *type, instances);
      });
    }
  }
}

std::string node_name(const torch::jit::Node& node) {
  std::string path, last_class;
  if (auto stack = node.callstack()) {
    for (const auto& entry : (*stack)->vec()) {
      const auto& instance = std::get<2>(entry);
      if (!instance || !instance->class_type()) continue;
      auto name = instance->instance_name();
      if (name.empty() || name == "self" || name == "SELF") continue;
      if (name.front() == '.') name.erase(0, 1);
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
