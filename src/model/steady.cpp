#include "polyact/src/model/steady.h"

#include <torch/csrc/jit/ir/constants.h>

#include <string>
#include <unordered_set>

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

const Value* argument(const Node& node, const char* name) {
  const auto at = node.schema().argumentIndexWithName(name);
  return at ? node.inputs()[*at] : nullptr;
}

// A normalisation with running statistics that it does not use.
bool trains(const Node& node) {
  const std::string name = node.kind().toUnqualString();
  if (name.find("batch_norm") == std::string::npos && name != "instance_norm") return false;
  const auto* uses_batch = argument(node, name == "instance_norm" ? "use_input_stats" : "training");
  const auto *mean = argument(node, "running_mean"), *variance = argument(node, "running_var");
  return uses_batch && mean && variance && is_true(uses_batch) && !is_none(mean) && !is_none(variance);
}

// Dropout inside an operator that does more.
bool drops_inside(const Node& node) {
  const std::string name = node.kind().toUnqualString();
  const bool attention = name == "scaled_dot_product_attention";
  if (!attention && name != "lstm" && name != "gru" && name != "rnn_tanh" && name != "rnn_relu") return false;
  const auto* share = argument(node, attention ? "dropout_p" : "dropout");
  const auto* train = attention ? nullptr : argument(node, "train");
  const auto constant = share ? torch::jit::toIValue(share) : std::nullopt;
  const bool none = constant && constant->isDouble() && constant->toDouble() == 0;
  return share && !none && (!train || is_true(train));
}

bool is_dropout(const Node& node) {
  return std::string(node.kind().toUnqualString()).find("dropout") != std::string::npos;
}

// Of the operators with an argument `train`: unless it is false.
bool is_active(const Node& node) {
  const auto at = node.schema().argumentIndexWithName(is_dropout(node) ? "train" : "training");
  const auto constant = at ? torch::jit::toIValue(node.inputs()[*at]) : std::nullopt;
  return !constant || !constant->isBool() || constant->toBool();
}

// In place, of a tensor's own numbers; libtorch's list has those that make new ones.
const std::unordered_set<std::string> draws_in_place = {"uniform_",   "normal_",     "bernoulli_",  "random_", "exponential_",
                                                        "log_normal_", "geometric_", "cauchy_"};

bool is_random(const Node& node) {
  const std::string name = node.kind().toUnqualString();
  if (name.find("rrelu") == 0) return is_active(node);
  return node.isNondeterministic() || draws_in_place.count(name);
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
    if (is_dropout(node) || drops_inside(node)) {
      if (is_dropout(node) && !is_active(node)) return;
      throw Unsteady("was traced in training mode (" + at(node) + ")" + again);
    }
    if (is_random(node)) {
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
