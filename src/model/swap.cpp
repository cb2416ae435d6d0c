#include "polyact/src/model/swap.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <optional>
#include <string_view>
#include <unordered_set>

#include "polyact/src/model/batch.h"
#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/graph.h"
#include "polyact/src/model/naming.h"
#include "polyact/src/model/polynomial.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

// All that comes out is non-negative if all that goes in is.
const std::unordered_set<std::string_view> keeps_sign = {
    "aten::cat", "aten::concat", "aten::stack", "aten::dropout", "aten::dropout_", "aten::feature_dropout", "aten::add",
    "aten::add_", "aten::mul", "aten::mul_", "aten::avg_pool2d", "aten::adaptive_avg_pool2d", "aten::mean", "aten::view",
    "aten::reshape", "aten::flatten", "aten::permute", "aten::transpose", "aten::contiguous", "aten::clone",
    "aten::detach", "aten::slice", "aten::select", "aten::chunk", "aten::split", "aten::squeeze", "aten::unsqueeze",
    "aten::channel_shuffle", "aten::max_pool2d", "prim::ConstantChunk", "prim::ListConstruct", "prim::ListUnpack", "prim::TupleConstruct",
    "prim::TupleUnpack"};

std::optional<double> number(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  if (!constant) return std::nullopt;
  if (constant->isDouble()) return constant->toDouble();
  if (constant->isInt()) return static_cast<double>(constant->toInt());
  return std::nullopt;
}

bool is(const Value* value, double expected) { return number(value) == expected; }

bool is_none(const Value* value) { return value->type()->kind() == c10::TypeKind::NoneType; }

// A list of two integers, or one for both; `fallback` for an empty one.
std::optional<rust::Vec<int64_t>> pair(const Value* value, const rust::Vec<int64_t>& fallback) {
  std::vector<int64_t> list;
  if (auto constant = torch::jit::toIValue(value)) {
    if (constant->isInt()) list = {constant->toInt()};
    else if (constant->isIntList()) list = constant->toIntVector();
    else return std::nullopt;
  } else if (value->node()->kind() == c10::prim::ListConstruct) {
    for (const auto* element : value->node()->inputs()) {
      auto integer = torch::jit::toIValue(element);
      if (!integer || !integer->isInt()) return std::nullopt;
      list.push_back(integer->toInt());
    }
  } else {
    return std::nullopt;
  }
  if (list.empty()) return fallback;
  if (list.size() > 2) return std::nullopt;
  rust::Vec<int64_t> pair;
  pair.push_back(list.front());
  pair.push_back(list.back());
  return pair;
}

// Whether PyTorch runs a pool of this geometry; what it refuses is left to it, with its message.
bool runs(const RawSite& pool) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  for (size_t axis : {0, 1}) {
    const auto kernel = pool.kernel[axis], stride = pool.stride[axis];
    const auto padding = pool.padding[axis], dilation = pool.dilation[axis];
    if (std::max({kernel, stride, padding, dilation}) > most || std::min({kernel, stride, dilation}) < 1) return false;
    if (padding < 0 || padding > kernel / 2 || (kernel - 1) * dilation + 1 > most) return false;
  }
  return pool.kernel[0] * pool.kernel[1] <= most;
}

// What of `node` says that it is a site, apart from its input: kind, and the geometry of a pool.
std::optional<RawSite> recognise(const Node& node) {
  RawSite site{};
  std::string name = node.kind().toQualString();
  if (name.back() == '_') name.pop_back();
  auto input = [&](size_t i) { return node.inputs()[i]; };
  const auto count = node.inputs().size();
  site.kind = Kind::Relu;
  if (name == "aten::relu") return site;
  if (name == "aten::threshold" && count == 3 && is(input(1), 0) && is(input(2), 0)) return site;
  if (name == "aten::clamp_min" && count == 2 && is(input(1), 0)) return site;
  const bool clamps = name == "aten::clamp" || name == "aten::clip" || name == "aten::hardtanh";
  const bool from_zero = clamps && count == 3 && is(input(1), 0);
  if (from_zero && is_none(input(2))) return site;
  site.kind = Kind::Relu6;
  if (name == "aten::relu6" || (from_zero && is(input(2), 6))) return site;
  const bool with_indices = name == "aten::max_pool2d_with_indices" && !node.outputs()[1]->hasUses();
  if ((name != "aten::max_pool2d" && !with_indices) || count != 6) return std::nullopt;
  auto kernel = pair(input(1), {});
  if (!kernel || kernel->empty()) return std::nullopt;
  auto stride = pair(input(2), *kernel);
  auto padding = pair(input(3), {});
  auto dilation = pair(input(4), {});
  auto ceil_mode = torch::jit::toIValue(input(5));
  if (!stride || !padding || !dilation || !ceil_mode || !ceil_mode->isBool()) return std::nullopt;
  site.kind = Kind::MaxPool;
  site.kernel = *kernel;
  site.stride = *stride;
  site.padding = *padding;
  site.dilation = *dilation;
  site.ceil_mode = ceil_mode->toBool();
  if (padding->empty() || dilation->empty() || !runs(site)) return std::nullopt;
  return site;
}

// The values of a graph of which it shows that none is negative, wherever they are seen later.
class NonNegative {
 public:
  NonNegative(Graph& graph, const Writes& writes) {
    walk(*graph.block(), [&](Node& node) {
      if (!gives(node)) return;
      for (auto* output : node.outputs()) {
        if (writes.over_at(output)) values_.insert(output);
      }
    });
  }

  bool has(const Value* value) const { return values_.count(value) > 0; }

 private:
  bool gives(const Node& node) const {
    if (auto site = recognise(node); site && site->kind != Kind::MaxPool) return true;
    if (node.kind() == c10::aten::sigmoid || node.kind() == c10::aten::softmax) return true;
    if (!keeps_sign.count(node.kind().toQualString()) || node.inputs().empty()) return false;
    return std::all_of(node.inputs().begin(), node.inputs().end(), [&](const Value* input) { return fits(input); });
  }

  // Indices, shapes and flags do not matter to the sign.
  bool fits(const Value* input) const {
    if (has(input)) return true;
    if (auto constant = number(input)) return *constant >= 0;
    return !holds_tensors(input->type());
  }

  std::unordered_set<const Value*> values_;
};

// Whether the value reaches the graph's output through nothing but tuples.
bool reaches_output(const Value* value) {
  for (const auto& use : value->uses()) {
    const auto kind = use.user->kind();
    if (kind == c10::prim::Return && use.user->owningBlock() == value->owningGraph()->block()) return true;
    if (kind == c10::prim::TupleConstruct && reaches_output(use.user->output())) return true;
  }
  return false;
}

void swap(Graph& graph, Node& node, Value* table, int64_t index) {
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
}

}  // namespace

std::vector<RawSite> swap_sites(const std::shared_ptr<Graph>& graph, std::vector<RawForeign>& foreign, RawGraph& description) {
  std::vector<std::pair<Node*, RawSite>> found;
  const Writes writes(graph);
  const Encrypted encrypted(*graph, writes);
  const NonNegative non_negative(*graph, writes);
  const Places places(*graph);
  walk(*graph->block(), [&](Node& node) {
    auto site = recognise(node);
    if (site && encrypted.has(node.inputs()[0])) {
      site->name = node_name(node);
      site->non_negative = site->kind == Kind::MaxPool && non_negative.has(node.inputs()[0]);
      site->image_axis = places.axis(node.inputs()[0]);
      found.emplace_back(&node, std::move(*site));
    } else if (is_foreign(node, encrypted)) {
      bool last = std::any_of(node.outputs().begin(), node.outputs().end(), reaches_output);
      foreign.push_back({node.kind().toQualString(), node_name(node), last});
    }
  });
  // Scripted GoogLeNet and Inception remark at every call that they return a tuple.
  walk(*graph->block(), [](Node& node) {
    if (node.kind() == c10::aten::warn) node.destroy();
  });
  std::unordered_map<const Node*, int64_t> places_of_sites;
  for (const auto& [node, site] : found) places_of_sites.emplace(node, static_cast<int64_t>(places_of_sites.size()));
  description = describe(*graph, writes, places_of_sites);
  auto* table = graph->addInput("sites");
  table->setType(c10::AnyType::get());
  std::vector<RawSite> sites;
  for (auto& [node, site] : found) {
    swap(*graph, *node, table, static_cast<int64_t>(sites.size()));
    sites.push_back(std::move(site));
  }
  graph->lint();
  return sites;
}

}  // namespace polyact
