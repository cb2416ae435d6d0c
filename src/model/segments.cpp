#include "polyact/src/model/segments.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>

#include "polyact/src/model/archive.h"
#include "polyact/src/model/writes.h"

namespace polyact {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

namespace {

// The place of the images among the inputs of a prepared graph.
constexpr size_t images_input = 1;

bool is_tensor(const c10::TypePtr& type) {
  return type->isSubtypeOf(*c10::TensorType::get()) || type->isSubtypeOf(*c10::OptionalType::ofTensor());
}

// Whether values of this type can neither change nor hold what changes.
bool is_fixed(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::IntType:
    case c10::TypeKind::FloatType:
    case c10::TypeKind::BoolType:
    case c10::TypeKind::ComplexType:
    case c10::TypeKind::NumberType:
    case c10::TypeKind::NoneType:
    case c10::TypeKind::StringType:
    case c10::TypeKind::DeviceObjType:
      return true;
    default:
      return false;
  }
}

// The numbers of the sites that `node` is or holds.
void find_sites(Node& node, std::vector<size_t>& sites) {
  static const auto site = c10::Symbol::fromQualString("polyact::site"), in_place = c10::Symbol::fromQualString("polyact::site_");
  if (node.kind() == site || node.kind() == in_place) {
    sites.push_back(static_cast<size_t>(torch::jit::toIValue(node.inputs()[2])->toInt()));
  }
  for (auto* block : node.blocks()) {
    for (auto* inner : block->nodes()) find_sites(*inner, sites);
  }
}

// Copies of tensors: those of one memory are of one memory again.
class Copies {
 public:
  at::Tensor of(const at::Tensor& x) {
    if (!x.defined()) return x;
    if (!x.has_storage()) return x.clone();
    auto& copied = storages_[x.storage().unsafeGetStorageImpl()];
    if (!copied) {
      const auto bytes = static_cast<int64_t>(x.storage().nbytes());
      auto all = at::empty({0}, x.options().dtype(at::kByte)).set_(x.storage(), 0, {bytes}, {1});
      copied = all.clone().storage();
    }
    auto copy = x.alias();
    copy.unsafeGetTensorImpl()->set_storage_keep_dtype(*copied);
    return copy;
  }

 private:
  std::unordered_map<const c10::StorageImpl*, std::optional<at::Storage>> storages_;
};

}  // namespace

// Finds the cuts of a graph and what lives across them, and makes the segments.
class Cutting {
 public:
  explicit Cutting(const std::shared_ptr<Graph>& graph) : graph_(*graph), writes_(graph) {
    for (auto* node : graph_.nodes()) places_.emplace(node, places_.size());
    end_ = places_.size();
    places_.emplace(graph_.return_node(), end_);
  }

  std::vector<Segments::Segment> segments() {
    find_cuts();
    auto* images = graph_.inputs()[images_input];
    take(0, images, last_write(images));
    note(images, 0);
    size_t behind = 0;
    for (auto* node : graph_.nodes()) {
      behind++;
      if (node->kind() == c10::prim::Constant) continue;
      for (auto* output : node->outputs()) note(output, behind);
    }
    for (size_t i = 0; i < segments_.size(); i++) segments_[i].code = torch::jit::Code(made(i), "forward");
    return std::move(segments_);
  }

 private:
  void find_cuts() {
    size_t place = 0;
    for (auto* node : graph_.nodes()) {
      std::vector<size_t> sites;
      find_sites(*node, sites);
      const bool first = segments_.empty();
      if (first || !sites.empty()) {
        // What stands before the first site belongs to it.
        if (first || !segments_.back().sites.empty()) begin(place);
        segments_.back().sites.insert(segments_.back().sites.end(), sites.begin(), sites.end());
      }
      place++;
    }
    if (segments_.empty()) begin(0);
  }

  void begin(size_t place) {
    segments_.emplace_back();
    begins_.push_back(place);
    taken_.emplace_back();
  }

  // `value` is there from `behind` on: all segments take it that begin between there and its last use.
  void note(Value* value, size_t behind) {
    size_t last = 0;
    for (const auto& use : value->uses()) last = std::max(last, place(use.user));
    const auto first = std::max<size_t>(1, std::lower_bound(begins_.begin(), begins_.end(), behind) - begins_.begin());
    if (first >= begins_.size() || begins_[first] > last) return;
    const auto written = last_write(value);
    for (size_t i = first; i < begins_.size() && begins_[i] <= last; i++) take(i, value, written);
  }

  void take(size_t segment, Value* value, std::optional<size_t> last_write) {
    const bool written = last_write && *last_write >= begins_[segment];
    taken_[segment].push_back(value);
    segments_[segment].written.push_back(written);
    if (written && !is_tensor(value->type())) segments_[segment].may_branch = false;
  }

  // Where `value`, or what it holds, may be written to for the last time.
  std::optional<size_t> last_write(Value* value) {
    if (is_fixed(value->type())) return std::nullopt;
    const bool holds = !is_tensor(value->type());
    if (!holds && !writes_.any(value)) return std::nullopt;
    std::optional<size_t> last;
    for (auto* writer : writes_.all()) {
      if (writes_.by(writer, value) || (holds && writes_into(*writer, value))) last = std::max(last.value_or(0), place(writer));
    }
    return last;
  }

  // Whether `writer` may write to something that `holder` holds.
  bool writes_into(Node& writer, Value* holder) {
    return std::any_of(writer.inputs().begin(), writer.inputs().end(), [&](Value* input) {
      return writes_.by(&writer, input) && writes_.aliases().mayContainAlias(input, holder);
    });
  }

  // The place of the node of the graph's own block that is `node` or holds it.
  size_t place(const Node* node) const { return places_.at(ancestor(node, graph_.block())); }

  std::shared_ptr<Graph> made(size_t segment) const {
    auto made = std::make_shared<Graph>();
    std::unordered_map<const Value*, Value*> here;
    const auto add_input = [&](Value* value) { here[value] = made->addInput()->copyMetadata(value); };
    for (size_t i = 0; i < graph_.inputs().size(); i++) {
      if (i != images_input) add_input(graph_.inputs()[i]);
    }
    for (auto* value : taken_[segment]) add_input(value);
    const std::function<Value*(Value*)> known = [&](Value* value) {
      const auto found = here.find(value);
      if (found != here.end()) return found->second;
      // Every segment has constants of its own.
      TORCH_INTERNAL_ASSERT(value->node()->kind() == c10::prim::Constant);
      auto* constant = made->insertNode(made->createClone(value->node(), known));
      return here[value] = constant->output();
    };
    const bool is_last = segment + 1 == begins_.size();
    const auto end = is_last ? end_ : begins_[segment + 1];
    for (auto* node : graph_.nodes()) {
      const auto place = places_.at(node);
      if (place < begins_[segment] || place >= end || node->kind() == c10::prim::Constant) continue;
      auto* copy = made->createClone(node, known);
      made->insertNode(copy);
      for (size_t i = 0; i < node->outputs().size(); i++) here[node->outputs()[i]] = copy->outputs()[i];
    }
    for (auto* value : is_last ? graph_.outputs() : at::ArrayRef<Value*>(taken_[segment + 1])) made->registerOutput(known(value));
    made->lint();
    return made;
  }

  Graph& graph_;
  Writes writes_;
  // Of the nodes of the graph's own block; its returning is behind the last.
  std::unordered_map<const Node*, size_t> places_;
  size_t end_;
  std::vector<Segments::Segment> segments_;
  // Of each segment, its first node, and what it takes.
  std::vector<size_t> begins_;
  std::vector<std::vector<Value*>> taken_;
};

void interpret(const torch::jit::Code& code, torch::jit::Stack& stack) {
  try {
    torch::jit::InterpreterState(code).run(stack);
  } catch (const std::exception& error) {
    throw std::runtime_error(one_line(error));
  }
}

Segments::Segments(const std::shared_ptr<Graph>& graph) : all_(Cutting(graph).segments()) {}

PartialPass Segments::branch(const PartialPass& pass) const {
  PartialPass other = pass;
  const auto& written = all_[pass.next].written;
  Copies copies;
  for (size_t i = 0; i < written.size(); i++) {
    auto& value = other.values[i];
    if (written[i] && value.isTensor()) value = copies.of(value.toTensor());
  }
  return other;
}

void Segments::run(PartialPass& pass, size_t to, const torch::jit::Stack& common) const {
  for (; pass.next < to; pass.next++) {
    auto stack = common;
    for (auto& value : pass.values) stack.push_back(std::move(value));
    pass.values.clear();
    interpret(all_[pass.next].code, stack);
    pass.values = std::move(stack);
  }
}

}  // namespace polyact
