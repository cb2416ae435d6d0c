#include "polyact/src/model/steady.h"

#include <torch/csrc/jit/ir/constants.h>

#include "polyact/src/model/naming.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Node;
using torch::jit::Value;

std::string at(const Node& node) { return std::string(node.kind().toQualString()) + " at " + node_name(node); }

bool is_true(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isBool() && constant->toBool();
}

bool is_none(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

// With running statistics that it does not use.
bool trains(const Node& node) {
  if (node.kind() != c10::aten::batch_norm || node.inputs().size() < 6) return false;
  return is_true(node.inputs()[5]) && !is_none(node.inputs()[3]) && !is_none(node.inputs()[4]);
}

bool is_dropout(const Node& node) {
  return std::string(node.kind().toUnqualString()).find("dropout") != std::string::npos;
}

bool is_quantised(const Node& node) {
  return std::string(node.kind().ns().toUnqualString()) == "quantized" ||
         std::string(node.kind().toUnqualString()).find("quantize_per_") == 0;
}

// A device that is written in the graph.
std::optional<c10::Device> device_of(const Node& node) {
  if (node.kind() != c10::prim::Constant) return std::nullopt;
  const auto constant = torch::jit::toIValue(node.output());
  return constant && constant->isDevice() ? std::optional(constant->toDevice()) : std::nullopt;
}

}  // namespace

void refuse_unsteady(const std::shared_ptr<torch::jit::Graph>& graph, c10::Device device) {
  const char* again = ": call model.eval() and export it again";
  walk(*graph->block(), [&](Node& node) {
    if (trains(node)) throw Unsteady("was traced in training mode, with the statistics of each batch (" + at(node) + ")" + again);
    if (is_quantised(node)) throw Unsteady("is quantised (" + at(node) + "): export the float model");
    if (node.isNondeterministic() && is_dropout(node)) throw Unsteady("was traced in training mode (" + at(node) + ")" + again);
    if (node.isNondeterministic()) {
      throw Unsteady("draws random numbers (" + at(node) + "), so that no two runs would give the same accuracy");
    }
    const auto written = device_of(node);
    if (written && written->type() == c10::kCUDA && device.type() != c10::kCUDA) {
      throw Unsteady(
          "names the device " + written->str() + " in its code: take it from the input (x.device) and export it again, or run it there, --device " +
          written->str());
    }
  });
  const Writes writes(graph);
  walk(*graph->block(), [&](Node& node) {
    const bool sets = node.kind() == c10::prim::SetAttr;
    const bool writes_into = node.kind() == c10::prim::GetAttr && writes.any(node.output());
    if (!sets && !writes_into) return;
    throw Unsteady(
        "changes its own state in every pass (`" + node.s(c10::attr::name) + "`), so that its result depends on the images before: "
        "export it without that");
  });
}

}  // namespace polyact
