#include "polyact/src/model/batch.h"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "polyact/src/model/polynomial.h"

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

const Place unknown{Place::Unknown};

// Operators that treat each value, or the values along axes that hold no image, alike, wherever the images lie. The
// variants in place have the same names with an underscore.
const std::unordered_set<std::string_view> pointwise = {
    "polyact::site", "aten::relu", "aten::relu6", "aten::threshold", "aten::clamp", "aten::clamp_min", "aten::clamp_max",
    "aten::hardtanh", "aten::sigmoid", "aten::tanh", "aten::silu", "aten::gelu", "aten::mish", "aten::elu", "aten::selu",
    "aten::celu", "aten::leaky_relu", "aten::prelu", "aten::softplus", "aten::hardswish", "aten::hardsigmoid",
    "aten::exp", "aten::log", "aten::sqrt", "aten::rsqrt", "aten::abs", "aten::neg", "aten::square", "aten::pow",
    "aten::reciprocal", "aten::sign", "aten::floor", "aten::round", "aten::erf", "aten::add", "aten::sub", "aten::rsub",
    "aten::mul", "aten::div", "aten::maximum", "aten::minimum", "aten::addcmul", "aten::lerp", "aten::where",
    "aten::gt", "aten::lt", "aten::ge", "aten::le", "aten::eq", "aten::ne", "aten::masked_fill", "aten::dropout",
    "aten::contiguous", "aten::clone", "aten::detach", "aten::to", "aten::type_as", "aten::alias", "aten::copy",
    "aten::fill", "aten::zero", "aten::zeros_like", "aten::ones_like", "aten::full_like", "aten::empty_like",
    "aten::softmax", "aten::log_softmax", "aten::layer_norm", "aten::linear"};

// Operators that work image by image along the first axis.
const std::unordered_set<std::string_view> by_image = {
    "aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution", "aten::convolution", "aten::_convolution_mode",
    "aten::conv_transpose1d", "aten::conv_transpose2d", "aten::max_pool1d", "aten::max_pool2d", "aten::max_pool2d_with_indices",
    "aten::avg_pool1d", "aten::avg_pool2d", "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d",
    "aten::adaptive_max_pool2d", "aten::batch_norm", "aten::group_norm", "aten::instance_norm", "aten::feature_dropout",
    "aten::constant_pad_nd", "aten::pad", "aten::reflection_pad2d", "aten::replication_pad2d", "aten::upsample_nearest2d",
    "aten::upsample_bilinear2d", "aten::pixel_shuffle", "aten::pixel_unshuffle", "aten::channel_shuffle"};

const std::unordered_set<std::string_view> products = {"aten::matmul", "aten::bmm", "aten::baddbmm", "aten::mm", "aten::addmm"};

const std::unordered_set<std::string_view> reshapes = {
    "aten::view", "aten::_unsafe_view", "aten::reshape", "aten::view_as", "aten::reshape_as", "aten::flatten",
    "aten::unflatten", "aten::squeeze", "aten::unsqueeze"};

const std::unordered_set<std::string_view> permutes = {
    "aten::permute", "aten::transpose", "aten::swapaxes", "aten::swapdims", "aten::t", "aten::numpy_T"};

// Operators along one axis, the operand after the first.
const std::unordered_set<std::string_view> along_axis = {
    "aten::slice", "aten::narrow", "aten::split", "aten::split_with_sizes", "aten::chunk", "aten::tensor_split", "prim::ConstantChunk",
    "aten::select", "aten::unbind", "aten::cat", "aten::concat", "aten::stack", "aten::index_select", "aten::cumsum"};

const std::unordered_set<std::string_view> reductions = {
    "aten::mean", "aten::sum", "aten::amax", "aten::amin", "aten::norm", "aten::logsumexp", "aten::var", "aten::std"};

std::optional<int64_t> integer(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  return constant && constant->isInt() ? std::optional(constant->toInt()) : std::nullopt;
}

std::optional<std::vector<int64_t>> integers(const Value* value) {
  if (auto constant = torch::jit::toIValue(value)) {
    if (constant->isInt()) return std::vector<int64_t>{constant->toInt()};
    return constant->isIntList() ? std::optional(constant->toIntVector()) : std::nullopt;
  }
  if (value->node()->kind() != c10::prim::ListConstruct) return std::nullopt;
  std::vector<int64_t> list;
  for (const auto* element : value->node()->inputs()) {
    auto one = integer(element);
    if (!one) return std::nullopt;
    list.push_back(*one);
  }
  return list;
}

// An axis counted from the first; none where it is counted from the last and the rank is not known.
std::optional<int64_t> counted(std::optional<int64_t> axis, int64_t rank) {
  if (!axis || *axis >= 0) return axis;
  return rank > 0 ? std::optional(*axis + rank) : std::nullopt;
}

// Whether a slice is of the whole axis: x[:].
bool takes_all(const Node& slice) {
  constexpr auto last = std::numeric_limits<int64_t>::max();
  const auto inputs = slice.inputs();
  const auto start = torch::jit::toIValue(inputs[2]), end = torch::jit::toIValue(inputs[3]);
  return start && (start->isNone() || (start->isInt() && start->toInt() == 0)) && end &&
         (end->isNone() || (end->isInt() && end->toInt() == last)) && integer(inputs[4]) == 1;
}

// Where the images lie after the axis at `from` went to `to`.
Place moved(Place place, int64_t to) {
  if (to == 0) return {Place::Leading, true, 0, place.rank};
  return {Place::Axis, false, to, place.rank};
}

// The axis that holds the images.
std::optional<int64_t> image_axis(const Place& place) {
  if (place.kind == Place::Leading && place.whole) return 0;
  return place.kind == Place::Axis ? std::optional(place.axis) : std::nullopt;
}

std::string name_of(const Node& node) {
  std::string name = node.kind().toQualString();
  if (name.back() == '_' && name[name.size() - 2] != '_') name.pop_back();
  return name;
}

}  // namespace

Places::Places(Graph& graph) {
  set(graph.inputs()[1], {Place::Leading, true, 0, 4});
  follow(*graph.block());
}

int64_t Places::axis(const Value* value) const {
  const auto place = of(value);
  if (place.kind == Place::Leading) return 0;
  return place.kind == Place::Axis ? place.axis : -1;
}

Place Places::of(const Value* value) const {
  const auto found = places_.find(value);
  return found == places_.end() ? Place{} : found->second;
}

void Places::follow(Block& block) {
  for (auto* node : block.nodes()) follow(*node);
}

void Places::follow(Node& node) {
  if (node.kind() == c10::prim::If) return follow_conditional(node);
  if (node.kind() == c10::prim::Loop) return follow_loop(node);
  for (auto* inner : node.blocks()) follow(*inner);
  const auto place = result(node);
  if (place.kind == Place::Constant) return;
  for (const auto* output : node.outputs()) set(output, place);
}

void Places::follow_conditional(Node& node) {
  for (auto* branch : node.blocks()) follow(*branch);
  for (size_t i = 0; i < node.outputs().size(); i++) {
    const auto one = of(node.blocks()[0]->outputs()[i]), other = of(node.blocks()[1]->outputs()[i]);
    set(node.outputs()[i], one == other ? one : unknown);
  }
}

// What a turn leaves elsewhere than it found it has no place; the second round finds what that does to the others.
void Places::follow_loop(Node& node) {
  auto* body = node.blocks()[0];
  const auto count = node.outputs().size();
  for (size_t i = 0; i < count; i++) set(body->inputs()[i + 1], of(node.inputs()[i + 2]));
  for (size_t round = 0; round <= count; round++) {
    follow(*body);
    bool same = true;
    for (size_t i = 0; i < count; i++) {
      const auto* carried = body->inputs()[i + 1];
      if (of(carried) == of(body->outputs()[i + 1]) || of(carried) == unknown) continue;
      set(carried, unknown);
      same = false;
    }
    if (same) break;
  }
  for (size_t i = 0; i < count; i++) set(node.outputs()[i], of(body->inputs()[i + 1]));
}

// The place that all operands have which have one.
Place Places::of_operands(const Node& node) const {
  Place common;
  for (const auto* input : node.inputs()) {
    const auto place = of(input);
    if (place.kind == Place::Constant || !holds_tensors(input->type())) continue;
    if (common.kind == Place::Constant) {
      common = place;
    } else if (common.kind != place.kind || common.axis != place.axis) {
      return unknown;
    } else {
      common.whole = common.whole && place.whole;
      common.rank = common.rank < 0 || place.rank < 0 ? -1 : std::max(common.rank, place.rank);
    }
  }
  return common;
}

Place Places::result(const Node& node) const {
  auto place = of_operands(node);
  if (place.kind == Place::Constant || place.kind == Place::Unknown) return place;
  const auto inputs = node.inputs();
  const auto kind = node.kind();
  if (kind == c10::prim::ListConstruct || kind == c10::prim::TupleConstruct || kind == c10::prim::ListUnpack ||
      kind == c10::prim::TupleUnpack || kind == c10::prim::TupleIndex || kind == c10::aten::__getitem__) {
    return place;
  }
  const auto name = name_of(node);
  if (pointwise.count(name)) return place;
  const auto axis = image_axis(place);
  if (by_image.count(name)) return axis == 0 ? place : unknown;
  if (reshapes.count(name)) return reshaped(node, place);
  if (permutes.count(name)) return axis ? permuted(node, place) : unknown;
  if (products.count(name)) {
    // Of two factors with images both must have them along the same of the axes that are not summed over.
    if (axis != 0 && place.kind != Place::Axis) return unknown;
    const bool two = std::count_if(inputs.begin(), inputs.end(), [&](const Value* input) { return of(input).kind != Place::Constant; }) > 1;
    const bool batched = name == "aten::bmm" || name == "aten::baddbmm" || place.rank > 2;
    return two && !batched ? unknown : place;
  }
  if (along_axis.count(name)) {
    const bool second = name != "aten::split" && name != "aten::split_with_sizes" && name != "aten::chunk" && name != "aten::tensor_split";
    const size_t at = second ? 1 : 2;
    const bool fixed = kind == c10::prim::ConstantChunk;
    const auto given = fixed ? std::optional(node.i(c10::attr::dim)) : at < inputs.size() ? integer(inputs[at]) : std::nullopt;
    const bool adds = name == "aten::stack";
    const auto along = counted(given, adds && place.rank > 0 ? place.rank + 1 : place.rank);
    if (!along || !axis) return unknown;
    // x[:] takes all.
    const bool all = name == "aten::slice" && takes_all(node);
    const bool removes = name == "aten::select" || name == "aten::unbind";
    const int64_t change = adds ? 1 : removes ? -1 : 0;
    if (place.rank > 0) place.rank += change;
    if (adds && *along <= *axis) return moved(place, *axis + 1);
    if (*along == *axis) return all ? place : unknown;
    return removes && *along < *axis ? moved(place, *axis - 1) : place;
  }
  if (reductions.count(name)) {
    const auto dims = inputs.size() > 2 ? integers(inputs[1]) : std::nullopt;
    const auto keep = inputs.size() > 2 ? torch::jit::toIValue(inputs[2]) : std::nullopt;
    if (!dims || dims->empty() || !axis || !keep || !keep->isBool()) return unknown;
    int64_t before = 0;
    for (const auto dim : *dims) {
      const auto at = counted(dim, place.rank);
      if (!at || *at == *axis) return unknown;
      before += *at < *axis;
    }
    if (keep->toBool()) return place;
    if (place.rank > 0) place.rank -= static_cast<int64_t>(dims->size());
    return before > 0 ? moved(place, *axis - before) : place;
  }
  return unknown;
}

// Reading row by row stays as it is, whatever the new shape.
Place Places::reshaped(const Node& node, Place place) const {
  const auto name = name_of(node);
  const auto inputs = node.inputs();
  if (name == "aten::unsqueeze" || name == "aten::squeeze" || name == "aten::flatten" || name == "aten::unflatten") {
    const auto rank = name == "aten::unsqueeze" && place.rank > 0 ? place.rank + 1 : place.rank;
    // Below zero where it is not known.
    const int64_t first = inputs.size() > 1 ? counted(integer(inputs[1]), rank).value_or(-1) : -1;
    const bool behind = first > (place.kind == Place::Axis ? place.axis : 0);
    const auto last = name == "aten::flatten" && inputs.size() > 2 ? counted(integer(inputs[2]), rank) : std::nullopt;
    const bool adds = name == "aten::unsqueeze", removes = name == "aten::squeeze" && first >= 0;
    const auto rank_after = place.rank < 0         ? -1
                            : adds                 ? place.rank + 1
                            : removes              ? place.rank - 1
                            : last && first >= 0   ? place.rank - (*last - first)
                                                   : -1;
    // Flattened from the first axis on, that is still the images one by one.
    const bool whole = place.whole && (behind || (name == "aten::flatten" && first == 0));
    if (place.kind == Place::Leading) return {Place::Leading, whole, 0, rank_after};
    return behind ? Place{Place::Axis, false, place.axis, rank_after} : unknown;
  }
  if (place.kind != Place::Leading) return unknown;
  const auto* shape = inputs.size() > 1 ? inputs[1]->node() : nullptr;
  if (!shape || shape->kind() != c10::prim::ListConstruct || shape->inputs().empty()) return {Place::Leading, false, 0, -1};
  const auto rank = static_cast<int64_t>(shape->inputs().size());
  return {Place::Leading, place.whole && is_multiple_of_images(shape->inputs()[0]), 0, rank};
}

Place Places::permuted(const Node& node, Place place) const {
  const auto from = *image_axis(place);
  const auto inputs = node.inputs();
  if (name_of(node) == "aten::permute") {
    const auto dims = integers(inputs[1]);
    if (!dims) return unknown;
    const auto rank = static_cast<int64_t>(dims->size());
    for (int64_t to = 0; to < rank; to++) {
      if (((*dims)[static_cast<size_t>(to)] + rank) % rank == from) return moved({place.kind, place.whole, place.axis, rank}, to);
    }
    return unknown;
  }
  const bool reverses = inputs.size() == 1;
  if (reverses) return place.rank > 0 ? moved(place, place.rank - 1 - from) : unknown;
  const auto a = counted(integer(inputs[1]), place.rank), b = counted(integer(inputs[2]), place.rank);
  if (!a || !b) return unknown;
  if (*a == from) return moved(place, *b);
  return *b == from ? moved(place, *a) : place;
}

// Whether a length is that of the images, or of parts of them.
bool Places::is_multiple_of_images(const Value* value) const {
  const auto* node = value->node();
  const auto kind = node->kind();
  auto first_of = [&](const Value* sizes) {
    return sizes->node()->kind() == c10::aten::size && sizes->node()->inputs().size() == 1 &&
           image_axis(of(sizes->node()->inputs()[0])) == 0;
  };
  if (kind == c10::aten::size && node->inputs().size() == 2) {
    return integer(node->inputs()[1]) == 0 && image_axis(of(node->inputs()[0])) == 0;
  }
  if (kind == c10::prim::ListUnpack) return value->offset() == 0 && first_of(node->inputs()[0]);
  if (kind == c10::aten::__getitem__) return integer(node->inputs()[1]) == 0 && first_of(node->inputs()[0]);
  if (kind == c10::aten::mul) return is_multiple_of_images(node->inputs()[0]) || is_multiple_of_images(node->inputs()[1]);
  const bool casts = kind == c10::prim::NumToTensor || kind == c10::aten::Int || kind == c10::aten::IntImplicit ||
                     kind == c10::aten::ScalarImplicit;
  return casts && is_multiple_of_images(node->inputs()[0]);
}

}  // namespace polyact
