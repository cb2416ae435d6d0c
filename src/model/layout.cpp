#include "polyact/src/model/layout.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/convolution.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

bool in_place(const Node& node) { return std::string_view(node.kind().toQualString()).back() == '_'; }

bool is_join(const Node& node) { return node.kind() == c10::aten::cat || node.kind() == c10::aten::concat; }

// Which values may lie otherwise than PyTorch shows them, as it was decided.
class Layouts {
 public:
  Layouts(const std::vector<Node*>& nodes, const RawLayouts& decided) {
    for (size_t index = 0; index < nodes.size(); index++) {
      auto* node = nodes[index];
      if (decided.results[index] >= 0) flags_.emplace(node->outputs()[0], decided.results[index]);
      if (decided.convolutions[index] < 0) continue;
      of_convolutions_.emplace(node, decided.convolutions[index]);
      convolutions_.emplace_back(node);
    }
    for (const auto& taken : decided.taken) taken_.emplace(nodes[taken.node], taken.operand);
  }

  // In the order of the graph.
  const std::vector<Node*>& convolutions() const { return convolutions_; }
  bool is_convolution(Node* node) const { return of_convolutions_.count(node) > 0; }
  // The flag of `value` where it may lie otherwise.
  std::optional<int64_t> flag(const Value* value) const {
    const auto found = flags_.find(value);
    return found == flags_.end() ? std::nullopt : std::optional(found->second);
  }
  // The flag under which a convolution runs.
  int64_t flag(Node* convolution) const { return of_convolutions_.at(convolution); }
  // Whether `node` takes a flagged operand as it lies.
  bool takes(const Node& node, size_t operand) const { return taken_.count({&node, operand}) > 0; }
  // The places of the flagged operands of `node` that it takes as they are.
  std::vector<size_t> operands(const Node& node) const {
    std::vector<size_t> places;
    for (size_t i = 0; i < node.inputs().size(); i++) {
      if (flag(node.inputs()[i]) && takes(node, i)) places.push_back(i);
    }
    return places;
  }
  // Forgets a convolution that is about to be destroyed.
  void forget(Node* node) {
    of_convolutions_.erase(node);
    flags_.erase(node->output());
  }
  // `value` is called `now` from here on.
  void rename(const Value* value, const Value* now) {
    const auto found = flags_.find(value);
    if (found == flags_.end()) return;
    flags_.emplace(now, found->second);
    flags_.erase(value);
  }

 private:
  std::vector<Node*> convolutions_;
  std::unordered_map<const Value*, int64_t> flags_;
  std::unordered_map<Node*, int64_t> of_convolutions_;
  std::set<std::pair<const Node*, size_t>> taken_;
};

// The addition, without a factor, that alone uses the result of a convolution and can be done at its place.
Node* fusible_addition(Node* convolution, const Layouts& layouts, Writes& writes) {
  const auto own = layouts.flag(convolution->output());
  if (!own || convolution->output()->uses().size() != 1) return nullptr;
  auto* add = convolution->output()->uses()[0].user;
  if ((add->kind() != c10::aten::add && add->kind() != c10::aten::add_) || add->inputs().size() != 3) return nullptr;
  // Written into the other summand, it would be seen by whoever else holds that.
  if (in_place(*add) && add->inputs()[0] != convolution->output()) return nullptr;
  for (size_t i : {0, 1}) {
    if (layouts.flag(add->inputs()[i]) != own) return nullptr;
  }
  const auto factor = torch::jit::toIValue(add->inputs()[2]);
  if (layouts.flag(add->output()) != own || !factor || !factor->isInt() || factor->toInt() != 1) return nullptr;
  const bool reachable = add->owningBlock() == convolution->owningBlock() &&
                         writes.aliases().moveBeforeTopologicallyValid(convolution, add);
  return reachable ? add : nullptr;
}

// Whether only constants stand between `first` and `next`.
bool adjacent(Node* first, const Node* next) {
  for (auto* node = first->next(); node != next; node = node->next()) {
    if (node->kind() != c10::prim::Constant) return false;
  }
  return true;
}

// Writes the layouts into the graph.
class Rewriting {
 public:
  Rewriting(Graph& graph, Layouts& layouts, Writes& writes, Convolutions& table, Value* table_value)
      : graph_(graph), layouts_(layouts), writes_(writes), table_(table), table_value_(table_value) {}

  void run() {
    fuse();
    rewrite(*graph_.block());
  }

 private:
  void fuse();
  void rewrite(Block& block);
  void rewrite(Node& node);
  void convolve(Node& node, Node* last);
  void unite(Node& node);
  void leave(Node& node);
  Value* insert(const char* symbol, at::ArrayRef<Value*> inputs, const c10::TypePtr& type);
  Value* flag_value(const Value* value) const { return values_.at(*layouts_.flag(value)); }

  Graph& graph_;
  Layouts& layouts_;
  Writes& writes_;
  Convolutions& table_;
  Value* table_value_;
  // The addition of each fused convolution, and the other way round.
  std::unordered_map<Node*, Node*> additions_;
  std::unordered_map<Node*, Node*> fused_;
  // The boolean of each flag.
  std::unordered_map<int64_t, Value*> values_;
  // Values in PyTorch's layout, once for each block.
  std::map<std::pair<const Value*, const Block*>, Value*> left_;
};

void Rewriting::fuse() {
  const auto& nodes = layouts_.convolutions();
  for (auto* node : nodes) {
    auto* add = fusible_addition(node, layouts_, writes_);
    if (add && !fused_.count(add)) {
      additions_[node] = add;
      fused_[add] = node;
    }
  }
  // A later move may have put something between them.
  for (auto* node : nodes) {
    const auto found = additions_.find(node);
    if (found == additions_.end() || adjacent(node, found->second)) continue;
    fused_.erase(found->second);
    additions_.erase(found);
  }
}

void Rewriting::rewrite(Block& block) {
  for (auto it = block.nodes().begin(); it != block.nodes().end();) {
    auto* node = *it++;
    for (auto* inner : node->blocks()) rewrite(*inner);
    rewrite(*node);
  }
  leave(*block.return_node());
}

void Rewriting::rewrite(Node& node) {
  if (layouts_.is_convolution(&node)) {
    if (!additions_.count(&node)) convolve(node, &node);
  } else if (const auto found = fused_.find(&node); found != fused_.end()) {
    convolve(*found->second, found->first);
  } else {
    unite(node);
    leave(node);
  }
}

// Puts the operator in the place of `last`: of the convolution, or of the addition that it is fused with.
void Rewriting::convolve(Node& node, Node* last) {
  torch::jit::WithInsertPoint at(last);
  auto* x = node.inputs()[0];
  const auto flag = layouts_.flag(&node);
  const auto own = layouts_.flag(last->output());
  if (!layouts_.flag(x)) values_[flag] = insert("polyact::prepares", {x}, c10::BoolType::get());
  const bool fused = last != &node;
  const bool residual_first = fused && last->inputs()[1] == node.output();
  auto* residual = fused ? last->inputs()[residual_first ? 0 : 1] : graph_.insertConstant(c10::IValue());
  auto* index = graph_.insertConstant(static_cast<int64_t>(table_.all.size()));
  auto* first = graph_.insertConstant(residual_first);
  auto* result =
      insert("polyact::convolution", {x, table_value_, index, values_.at(flag), residual, first}, c10::TensorType::get());
  result->node()->copyMetadata(last);
  if (!own) result = insert("polyact::leave", {result, values_.at(flag)}, c10::TensorType::get());
  layouts_.rename(last->output(), result);
  last->output()->replaceAllUsesWith(result);
  table_.all.push_back(Convolution::of(node));
  layouts_.forget(&node);
  additions_.erase(&node);
  fused_.erase(last);
  if (fused) last->destroy();
  node.destroy();
}

// Operands that lie as PyTorch has them under different conditions meet in PyTorch's layout unless both do not.
void Rewriting::unite(Node& node) {
  if (node.outputs().size() != 1) return;
  const auto common = layouts_.flag(node.output());
  if (!common || values_.count(*common)) return;
  auto& holder = is_join(node) ? *node.inputs()[0]->node() : node;
  torch::jit::WithInsertPoint at(&holder);
  const auto places = layouts_.operands(holder);
  Value* all = nullptr;
  for (auto i : places) {
    auto* own = flag_value(holder.inputs()[i]);
    all = all ? insert("aten::__and__", {all, own}, c10::BoolType::get()) : own;
  }
  for (auto i : places) {
    auto* operand = holder.inputs()[i];
    holder.replaceInput(i, insert("polyact::meet", {operand, flag_value(operand), all}, c10::TensorType::get()));
  }
  values_[*common] = all;
}

// Gives `node` in PyTorch's layout what it does not take otherwise.
void Rewriting::leave(Node& node) {
  for (size_t i = 0; i < node.inputs().size(); i++) {
    auto* value = node.inputs()[i];
    if (!layouts_.flag(value) || layouts_.takes(node, i)) continue;
    auto& left = left_[{value, node.owningBlock()}];
    if (!left) {
      torch::jit::WithInsertPoint at(&node);
      left = insert("polyact::leave", {value, flag_value(value)}, c10::TensorType::get());
    }
    node.replaceInput(i, left);
  }
}

Value* Rewriting::insert(const char* symbol, at::ArrayRef<Value*> inputs, const c10::TypePtr& type) {
  auto* node = graph_.insertNode(graph_.create(c10::Symbol::fromQualString(symbol), inputs));
  return node->output()->setType(type);
}

}  // namespace

c10::IValue prepare_layouts(const std::shared_ptr<Graph>& graph, const std::vector<Node*>& nodes, const RawLayouts& decided) {
  auto table = c10::make_intrusive<Convolutions>();
  auto* value = graph->addInput("convolutions");
  value->setType(c10::AnyType::get());
  Layouts layouts(nodes, decided);
  if (!layouts.convolutions().empty()) {
    Writes writes(graph);
    Rewriting(*graph, layouts, writes, *table, value).run();
  }
  torch::jit::EliminateDeadCode(graph);
  graph->lint();
  return c10::IValue::make_capsule(std::move(table));
}

}  // namespace polyact
