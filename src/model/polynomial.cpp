#include "polyact/src/model/polynomial.h"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

// Additions and multiplications of values, and operators that only move values about. A trailing underscore, of the
// variant in place, is left out.
const std::unordered_set<std::string_view> polynomial = {
    "aten::_convolution", "aten::_convolution_mode", "aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::convolution",
    "aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d", "aten::linear", "aten::addmm",
    "aten::addmv", "aten::addbmm", "aten::addr", "aten::matmul", "aten::mm", "aten::mv", "aten::bmm", "aten::baddbmm",
    "aten::dot", "aten::vdot", "aten::inner", "aten::outer", "aten::tensordot", "aten::kron", "aten::bilinear",
    "aten::einsum", "aten::add", "aten::sub", "aten::subtract", "aten::rsub", "aten::mul", "aten::multiply",
    "aten::addcmul", "aten::lerp", "aten::neg", "aten::negative", "aten::positive", "aten::square", "aten::prod",
    "aten::sum", "aten::mean", "aten::cumsum", "aten::diff", "aten::trace", "aten::avg_pool1d", "aten::avg_pool2d",
    "aten::avg_pool3d", "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d", "aten::adaptive_avg_pool3d",
    "aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::feature_alpha_dropout", "aten::cat",
    "aten::concat", "aten::concatenate", "aten::stack", "aten::hstack", "aten::vstack", "aten::dstack", "aten::chunk",
    "aten::unsafe_chunk", "aten::split", "aten::unsafe_split", "aten::split_with_sizes", "aten::tensor_split",
    "aten::unbind", "aten::view", "aten::_unsafe_view", "aten::view_as", "aten::reshape", "aten::reshape_as",
    "aten::flatten", "aten::unflatten", "aten::ravel", "aten::permute", "aten::transpose", "aten::swapaxes",
    "aten::swapdims", "aten::movedim", "aten::moveaxis", "aten::t", "aten::numpy_T", "aten::mT", "aten::contiguous",
    "aten::clone", "aten::detach", "aten::squeeze", "aten::unsqueeze", "aten::select", "aten::slice", "aten::narrow",
    "aten::diagonal", "aten::tril", "aten::triu", "aten::as_strided", "aten::unfold", "aten::im2col", "aten::col2im",
    "aten::roll", "aten::flip", "aten::rot90", "aten::expand", "aten::expand_as", "aten::broadcast_to",
    "aten::broadcast_tensors", "aten::repeat", "aten::repeat_interleave", "aten::tile", "aten::constant_pad_nd",
    "aten::pad", "aten::reflection_pad1d", "aten::reflection_pad2d", "aten::replication_pad1d",
    "aten::replication_pad2d", "aten::channel_shuffle", "aten::pixel_shuffle", "aten::pixel_unshuffle",
    "aten::upsample_nearest1d", "aten::upsample_nearest2d", "aten::upsample_bilinear2d", "aten::upsample_linear1d",
    "aten::to", "aten::type_as", "aten::float", "aten::double", "aten::alias", "aten::lift_fresh", "aten::copy",
    "aten::fill", "aten::zero", "aten::__getitem__", "aten::append", "aten::extend", "aten::insert", "aten::pop",
    "aten::list", "aten::wait", "polyact::completed", "polyact::site"};

// Of shapes and types alone, whatever the values are.
const std::unordered_set<std::string_view> of_shapes = {
    "aten::size", "aten::sym_size", "aten::dim", "aten::numel", "aten::len", "aten::stride", "aten::storage_offset",
    "aten::is_contiguous", "aten::is_floating_point", "aten::is_complex", "aten::__is__", "aten::__isnot__",
    "aten::zeros_like", "aten::ones_like", "aten::full_like", "aten::empty_like", "aten::new_zeros", "aten::new_ones",
    "aten::new_full", "aten::new_empty", "aten::_shape_as_tensor", "prim::shape", "prim::device", "prim::dtype",
    "prim::layout", "prim::type", "prim::isinstance", "prim::requires_grad", "prim::is_cpu", "prim::is_cuda",
    "prim::is_xpu", "prim::is_mps", "prim::is_xla", "prim::is_mkldnn", "prim::is_meta", "prim::is_nested",
    "prim::is_quantized", "prim::is_sparse", "prim::is_sparse_csr", "aten::is_same_size", "aten::get_device"};

std::string name_of(const Node& node) {
  std::string name = node.kind().toQualString();
  if (name.size() > 2 && name.back() == '_' && name[name.size() - 2] != '_') name.pop_back();
  return name;
}

bool is_none(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  return constant && constant->isNone();
}

// An exponent that is a natural number.
bool is_natural(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  if (!constant || !constant->isScalar()) return false;
  const auto exponent = constant->toScalar().toDouble();
  return exponent >= 0 && exponent == std::floor(exponent);
}

}  // namespace

Encrypted::Encrypted(Graph& graph, const Writes& writes) {
  add(graph.inputs()[1]);
  std::vector<Value*> written;
  auto note = [&](Value* value) {
    if (writes.any(value)) written.push_back(value);
  };
  for (auto* input : graph.inputs()) note(input);
  walk(*graph.block(), [&](Node& node) {
    for (auto* output : node.outputs()) note(output);
  });
  for (bool grown = true; grown;) {
    grown = spread(*graph.block());
    // Whoever sees memory that a ciphertext was written to.
    for (auto* writer : writes.all()) {
      const auto inputs = writer->inputs();
      if (std::none_of(inputs.begin(), inputs.end(), [&](Value* input) { return has(input); })) continue;
      for (auto* value : written) {
        if (!has(value) && writes.by(writer, value)) grown |= add(value);
      }
    }
  }
}

bool Encrypted::spread(Block& block) {
  bool grown = false;
  for (auto* node : block.nodes()) grown |= spread(*node);
  return grown;
}

bool Encrypted::spread(Node& node) {
  if (node.kind() == c10::prim::If) return spread_conditional(node);
  if (node.kind() == c10::prim::Loop) return spread_loop(node);
  bool grown = false;
  for (auto* inner : node.blocks()) grown |= spread(*inner);
  if (of_shapes.count(name_of(node))) return grown;
  const auto inputs = node.inputs();
  if (std::none_of(inputs.begin(), inputs.end(), [&](const Value* input) { return has(input); })) return grown;
  for (const auto* output : node.outputs()) grown |= add(output);
  return grown;
}

bool Encrypted::spread_conditional(Node& node) {
  bool grown = false;
  for (auto* branch : node.blocks()) {
    grown |= spread(*branch);
    for (size_t i = 0; i < node.outputs().size(); i++) {
      if (has(node.input()) || has(branch->outputs()[i])) grown |= add(node.outputs()[i]);
    }
  }
  return grown;
}

// A loop has the trip count and the first condition, then what is carried; its body takes the turn and what is carried, and
// gives the next condition and what is carried.
bool Encrypted::spread_loop(Node& node) {
  bool grown = false;
  auto* body = node.blocks()[0];
  grown |= spread(*body);
  const bool turns = has(node.inputs()[0]) || has(node.inputs()[1]) || has(body->outputs()[0]);
  for (size_t i = 0; i < node.outputs().size(); i++) {
    if (!turns && !has(node.inputs()[i + 2]) && !has(body->outputs()[i + 1])) continue;
    grown |= add(body->inputs()[i + 1]);
    grown |= add(node.outputs()[i]);
  }
  return grown;
}

bool holds_tensors(const c10::TypePtr& type) {
  if (type->isSubtypeOf(*c10::TensorType::get())) return true;
  const auto inside = type->containedTypes();
  return std::any_of(inside.begin(), inside.end(), holds_tensors);
}

bool is_foreign(const Node& node, const Encrypted& encrypted) {
  auto is_encrypted = [&](size_t i) { return i < node.inputs().size() && encrypted.has(node.inputs()[i]); };
  if (node.kind() == c10::prim::If) return is_encrypted(0);
  if (node.kind() == c10::prim::Loop) return is_encrypted(0) || is_encrypted(1) || encrypted.has(node.blocks()[0]->outputs()[0]);
  const auto inputs = node.inputs(), outputs = node.outputs();
  const bool takes = std::any_of(inputs.begin(), inputs.end(), [&](const Value* input) {
    return encrypted.has(input) && holds_tensors(input->type());
  });
  const bool gives = std::any_of(outputs.begin(), outputs.end(), [](const Value* value) { return holds_tensors(value->type()); });
  if (!takes || !gives || node.kind().is_prim()) return false;
  const auto name = name_of(node);
  if (of_shapes.count(name) || polynomial.count(name)) return false;
  // All but the first two are weights.
  if (name == "aten::batch_norm" || name == "aten::_batch_norm_impl_index" || name == "aten::native_batch_norm") {
    const auto training = torch::jit::toIValue(inputs[5]);
    const bool fixed = training && training->isBool() && !training->toBool() && !is_none(inputs[3]) && !is_none(inputs[4]);
    return !fixed || is_encrypted(1) || is_encrypted(3) || is_encrypted(4);
  }
  if (name == "aten::div" || name == "aten::divide" || name == "aten::true_divide") {
    return is_encrypted(1) || (inputs.size() > 2 && !is_none(inputs[2]));
  }
  if (name == "aten::pow") return is_encrypted(1) || !is_natural(inputs[1]);
  // What is taken from where, by a mask or by positions in plaintext.
  if (name == "aten::where") return is_encrypted(0) || inputs.size() != 3;
  if (name == "aten::masked_fill" || name == "aten::index" || name == "aten::index_put") return is_encrypted(1);
  if (name == "aten::index_select" || name == "aten::gather" || name == "aten::index_add") return is_encrypted(2);
  return true;
}

}  // namespace polyact
