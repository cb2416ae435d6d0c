// Finding the sites of a frozen graph, and swapping them for operators that ask the table of activations.
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <optional>
#include <string_view>
#include <unordered_set>

#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/network.h"

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

// Operators that are additions and multiplications by constants or of values, or only move values about.
const std::unordered_set<std::string_view> polynomial = {
    "aten::_convolution", "aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::convolution", "aten::conv_transpose2d",
    "aten::linear", "aten::addmm", "aten::matmul", "aten::mm", "aten::bmm", "aten::baddbmm", "aten::t", "aten::einsum",
    "aten::batch_norm", "aten::add", "aten::add_", "aten::sub", "aten::sub_", "aten::rsub", "aten::mul", "aten::mul_",
    "aten::neg", "aten::square", "aten::sum", "aten::mean", "aten::avg_pool1d", "aten::avg_pool2d", "aten::avg_pool3d",
    "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d", "aten::adaptive_avg_pool3d", "aten::dropout",
    "aten::dropout_", "aten::feature_dropout", "aten::alpha_dropout", "aten::cat", "aten::concat", "aten::stack",
    "aten::chunk", "aten::split", "aten::split_with_sizes", "aten::tensor_split", "aten::unbind", "aten::view",
    "aten::view_as", "aten::reshape", "aten::reshape_as", "aten::flatten", "aten::unflatten", "aten::permute",
    "aten::transpose", "aten::transpose_", "aten::movedim", "aten::contiguous", "aten::clone", "aten::detach",
    "aten::squeeze", "aten::squeeze_", "aten::unsqueeze", "aten::unsqueeze_", "aten::select", "aten::slice",
    "aten::narrow", "aten::index_select", "aten::gather", "aten::roll", "aten::flip", "aten::expand",
    "aten::expand_as", "aten::repeat", "aten::constant_pad_nd", "aten::pad", "aten::reflection_pad2d", "aten::replication_pad2d", "aten::channel_shuffle", "aten::pixel_shuffle",
    "aten::upsample_nearest2d", "aten::upsample_bilinear2d", "aten::to", "aten::type_as", "aten::alias",
    "aten::lift_fresh", "aten::zeros", "aten::zeros_like", "aten::ones", "aten::ones_like", "aten::full",
    "aten::empty", "aten::new_zeros", "aten::copy_", "polyact::site", "polyact::site_"};

// Of these, all that comes out is non-negative if all that goes in is.
const std::unordered_set<std::string_view> keeps_sign = {
    "aten::cat", "aten::concat", "aten::stack", "aten::dropout", "aten::dropout_", "aten::feature_dropout", "aten::add",
    "aten::add_", "aten::mul", "aten::mul_", "aten::avg_pool2d", "aten::adaptive_avg_pool2d", "aten::mean", "aten::view",
    "aten::reshape", "aten::flatten", "aten::permute", "aten::transpose", "aten::contiguous", "aten::clone",
    "aten::detach", "aten::slice", "aten::select", "aten::chunk", "aten::split", "aten::squeeze", "aten::unsqueeze",
    "aten::channel_shuffle", "aten::max_pool2d", "prim::ListConstruct", "prim::ListUnpack", "prim::TupleConstruct",
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

// The site that `node` is, if it is one: kind, and the geometry of a pool.
std::optional<RawSite> recognise(const Node& node) {
  RawSite site{};
  std::string name = node.kind().toQualString();
  if (!name.empty() && name.back() == '_') name.pop_back();
  auto input = [&](size_t i) { return node.inputs()[i]; };
  const auto count = node.inputs().size();
  if (name == "aten::relu") {
    site.kind = Kind::Relu;
    return site;
  }
  if (name == "aten::relu6") {
    site.kind = Kind::Relu6;
    return site;
  }
  if (name == "aten::threshold" && count == 3 && is(input(1), 0) && is(input(2), 0)) {
    site.kind = Kind::Relu;
    return site;
  }
  if (name == "aten::clamp_min" && count == 2 && is(input(1), 0)) {
    site.kind = Kind::Relu;
    return site;
  }
  if ((name == "aten::clamp" || name == "aten::clip" || name == "aten::hardtanh") && count == 3 && is(input(1), 0)) {
    if (is_none(input(2))) {
      site.kind = Kind::Relu;
      return site;
    }
    if (is(input(2), 6)) {
      site.kind = Kind::Relu6;
      return site;
    }
  }
  const bool with_indices = name == "aten::max_pool2d_with_indices" && !node.outputs()[1]->hasUses();
  if ((name == "aten::max_pool2d" || with_indices) && count == 6) {
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
    return site;
  }
  return std::nullopt;
}

bool non_negative(const Value* value, int depth = 0) {
  constexpr int deepest = 64;
  const auto* node = value->node();
  if (depth > deepest) return false;
  if (auto site = recognise(*node); site && site->kind != Kind::MaxPool) return true;
  if (node->kind() == c10::aten::sigmoid || node->kind() == c10::aten::softmax) return true;
  if (auto constant = number(value)) return *constant >= 0;
  // Indices, shapes and flags do not matter to the sign.
  if (!value->type()->isSubtypeOf(*c10::TensorType::get()) && !keeps_sign.count(node->kind().toQualString())) return true;
  if (!keeps_sign.count(node->kind().toQualString())) return false;
  for (const auto* input : node->inputs()) {
    if (!non_negative(input, depth + 1)) return false;
  }
  return !node->inputs().empty();
}

// `layer1.0.relu`: the path of modules down to the node; where a function and no module was called, its name is added.
std::string site_name(const Node& node) {
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

// Whether the value reaches the graph's output through nothing but tuples.
bool reaches_output(const Value* value) {
  for (const auto& use : value->uses()) {
    const auto kind = use.user->kind();
    if (kind == c10::prim::Return && use.user->owningBlock() == value->owningGraph()->block()) return true;
    if (kind == c10::prim::TupleConstruct && reaches_output(use.user->output())) return true;
  }
  return false;
}

bool handles_tensors(const Node& node) {
  auto is_tensor = [](const Value* value) { return value->type()->isSubtypeOf(*c10::TensorType::get()); };
  return std::any_of(node.outputs().begin(), node.outputs().end(), is_tensor) &&
         std::any_of(node.inputs().begin(), node.inputs().end(), [&](const Value* value) {
           return is_tensor(value) || value->type()->kind() == c10::TypeKind::ListType;
         });
}

bool is_polynomial(const Node& node) {
  const std::string name = node.kind().toQualString();
  if (node.kind().is_prim() || polynomial.count(name)) return true;
  const bool divides = name == "aten::div" || name == "aten::div_";
  if (divides && node.inputs().size() >= 2) return torch::jit::toIValue(node.inputs()[1]).has_value();
  if (name == "aten::pow" && node.inputs().size() == 2) {
    auto exponent = number(node.inputs()[1]);
    return exponent && *exponent >= 0 && *exponent == std::floor(*exponent);
  }
  return false;
}

template <typename Visit>
void walk(Block& block, const Visit& visit) {
  for (auto it = block.nodes().begin(); it != block.nodes().end();) {
    auto* node = *it++;
    for (auto* inner : node->blocks()) walk(*inner, visit);
    visit(*node);
  }
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

std::vector<RawSite> swap_sites(Graph& graph, std::vector<RawForeign>& foreign) {
  std::vector<std::pair<Node*, RawSite>> found;
  walk(*graph.block(), [&](Node& node) {
    if (auto site = recognise(node)) {
      site->name = site_name(node);
      if (site->kind == Kind::MaxPool) site->non_negative = non_negative(node.inputs()[0]);
      found.emplace_back(&node, std::move(*site));
    } else if (handles_tensors(node) && !is_polynomial(node)) {
      bool last = std::any_of(node.outputs().begin(), node.outputs().end(), reaches_output);
      foreign.push_back({node.kind().toQualString(), site_name(node), last});
    }
  });
  // Scripted GoogLeNet and Inception remark at every call that they return a tuple.
  walk(*graph.block(), [](Node& node) {
    if (node.kind() == c10::aten::warn) node.destroy();
  });
  auto* table = graph.addInput("sites");
  table->setType(c10::AnyType::get());
  std::vector<RawSite> sites;
  for (auto& [node, site] : found) {
    swap(graph, *node, table, static_cast<int64_t>(sites.size()));
    sites.push_back(std::move(site));
  }
  graph.lint();
  return sites;
}

}  // namespace polyact
