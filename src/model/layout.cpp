#include "polyact/src/model/layout.h"

#include <ATen/Context.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "polyact/src/model/convolution.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Use;
using torch::jit::Value;

// Operators that make of a contiguous first operand a contiguous result, and the same values of one that lies otherwise.
// Other tensors among their operands are constants. A trailing underscore, of the variant in place, is left out.
const std::unordered_set<std::string_view> followers = {
    "polyact::site", "aten::batch_norm", "aten::avg_pool2d", "aten::adaptive_avg_pool2d", "aten::mean", "aten::sum",
    "aten::add", "aten::sub", "aten::rsub", "aten::mul", "aten::div", "aten::neg", "aten::abs", "aten::square",
    "aten::pow", "aten::sqrt", "aten::exp", "aten::sigmoid", "aten::tanh", "aten::silu", "aten::gelu", "aten::mish",
    "aten::elu", "aten::leaky_relu", "aten::softplus", "aten::hardswish", "aten::hardsigmoid", "aten::hardtanh",
    "aten::clamp", "aten::clamp_min", "aten::clamp_max"};

// Of these, the second operand may be such a value too.
const std::unordered_set<std::string_view> meeters = {"aten::add", "aten::sub", "aten::mul"};

bool is_tensor(const Value* value) { return value->type()->isSubtypeOf(*c10::TensorType::get()); }

std::string_view without_underscore(std::string_view name) {
  if (!name.empty() && name.back() == '_') name.remove_suffix(1);
  return name;
}

bool in_place(const Node& node) { return std::string_view(node.kind().toQualString()).back() == '_'; }

// A constant that has no say in how a result lies.
bool is_plain_constant(const Value* value) {
  auto constant = torch::jit::toIValue(value);
  if (!constant) return false;
  return !constant->isTensor() || (constant->toTensor().is_contiguous() && constant->toTensor().dim() <= 4);
}

// What a concatenation joins, if its list is its own.
const Node* joined_list(const Node& node) {
  if (node.kind() != c10::aten::cat && node.kind() != c10::aten::concat) return nullptr;
  const auto* list = node.inputs()[0]->node();
  const bool own = list->kind() == c10::prim::ListConstruct && list->output()->uses().size() == 1;
  return own && !list->inputs().empty() ? list : nullptr;
}

// Which values may lie otherwise than PyTorch shows them. Values with equal flags do so under the same condition.
class Layouts {
 public:
  Layouts(Graph& graph, Writes& writes) : graph_(graph), writes_(writes) {
    walk(*graph.block(), [&](Node& node) {
      if (auto of = Convolution::of(node)) convolutions_.emplace(&node, std::move(of));
    });
    while (true) {
      spread();
      if (!bar_what_is_written_later()) break;
    }
  }

  bool none() const { return convolutions_.empty(); }
  bool is_convolution(Node* node) const { return convolutions_.count(node) > 0; }
  // The flag of `value` where it may lie otherwise.
  std::optional<size_t> flag(const Value* value) const {
    const auto found = flags_.find(value);
    return found == flags_.end() ? std::nullopt : std::optional(found->second);
  }
  // The flag under which a convolution runs.
  size_t flag(Node* convolution) const { return of_convolutions_.at(convolution); }
  bool stays(const Use& use) const;
  // The places of the flagged operands of `node` that it takes as they are.
  std::vector<size_t> operands(Node& node) const;
  // The convolution that `node` is; the node may be destroyed then.
  std::unique_ptr<Convolution> take(Node* node);
  // `value` is called `now` from here on.
  void rename(const Value* value, const Value* now);

 private:
  void spread();
  void spread(Node& node);
  bool bar_what_is_written_later();
  std::optional<size_t> common_flag(const std::vector<const Value*>& operands, bool may_differ);
  bool in_one_block(const Node& node) const {
    return !in_place(node) || node.inputs()[0]->node()->owningBlock() == node.owningBlock();
  }

  Graph& graph_;
  Writes& writes_;
  std::unordered_map<Node*, std::unique_ptr<Convolution>> convolutions_;
  // Nodes whose results lie as PyTorch has them from the first.
  std::unordered_set<const Node*> barred_;
  std::unordered_map<const Value*, size_t> flags_;
  std::unordered_map<Node*, size_t> of_convolutions_;
  size_t next_ = 0;
};

void Layouts::spread() {
  flags_.clear();
  of_convolutions_.clear();
  next_ = 0;
  walk(*graph_.block(), [&](Node& node) { spread(node); });
}

void Layouts::spread(Node& node) {
  if (convolutions_.count(&node)) {
    const auto input = flag(node.inputs()[0]);
    const auto own = input ? *input : next_++;
    of_convolutions_.emplace(&node, own);
    if (!barred_.count(&node)) flags_.emplace(node.output(), own);
    return;
  }
  if (barred_.count(&node) || node.outputs().size() != 1) return;
  std::vector<const Value*> operands;
  if (const auto* list = joined_list(node)) {
    operands.assign(list->inputs().begin(), list->inputs().end());
  } else {
    const auto name = without_underscore(node.kind().toQualString());
    if (!followers.count(name) || !in_one_block(node)) return;
    const bool meets = meeters.count(name) > 0;
    for (size_t i = 0; i < node.inputs().size(); i++) {
      auto* input = node.inputs()[i];
      if (name == "polyact::site" && i > 0) break;
      if (!is_tensor(input) || is_plain_constant(input)) continue;
      if (i > (meets ? 1 : 0)) return;
      operands.push_back(input);
    }
    if (in_place(node) && (operands.empty() || operands[0] != node.inputs()[0])) return;
  }
  if (const auto common = common_flag(operands, !in_place(node))) flags_.emplace(node.output(), *common);
}

// The flag of what comes of `operands`; none if one of them has none.
std::optional<size_t> Layouts::common_flag(const std::vector<const Value*>& operands, bool may_differ) {
  std::optional<size_t> common;
  bool differ = false;
  for (const auto* operand : operands) {
    const auto own = flag(operand);
    if (!own) return std::nullopt;
    differ |= common && *common != *own;
    common = own;
  }
  if (differ && !may_differ) return std::nullopt;
  return differ ? std::optional(next_++) : common;
}

bool Layouts::stays(const Use& use) const {
  auto* user = use.user;
  if (convolutions_.count(user)) return use.offset == 0;
  if (user->kind() == c10::prim::ListConstruct && user->output()->uses().size() == 1) {
    auto* join = user->output()->uses()[0].user;
    return joined_list(*join) == user && flag(join->output());
  }
  if (user->outputs().size() != 1 || joined_list(*user) || !flag(user->output())) return false;
  const auto name = without_underscore(user->kind().toQualString());
  return followers.count(name) && use.offset <= (meeters.count(name) ? 1 : 0);
}

std::vector<size_t> Layouts::operands(Node& node) const {
  std::vector<size_t> places;
  for (size_t i = 0; i < node.inputs().size(); i++) {
    if (flag(node.inputs()[i]) && stays({&node, i})) places.push_back(i);
  }
  return places;
}

std::unique_ptr<Convolution> Layouts::take(Node* node) {
  auto of = std::move(convolutions_.at(node));
  convolutions_.erase(node);
  of_convolutions_.erase(node);
  flags_.erase(node->output());
  return of;
}

void Layouts::rename(const Value* value, const Value* now) {
  const auto found = flags_.find(value);
  if (found == flags_.end()) return;
  flags_.emplace(now, found->second);
  flags_.erase(value);
}

// A value that others use is copied for them, and nobody may write to either afterwards.
bool Layouts::bar_what_is_written_later() {
  std::vector<const Node*> found;
  for (const auto& [value, _] : flags_) {
    for (const auto& use : value->uses()) {
      if (stays(use) || writes_.over_before(const_cast<Value*>(value), use.user)) continue;
      found.push_back(value->node());
      break;
    }
  }
  barred_.insert(found.begin(), found.end());
  return !found.empty();
}

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
  std::unordered_map<size_t, Value*> values_;
  // Values in PyTorch's layout, once for each block.
  std::map<std::pair<const Value*, const Block*>, Value*> left_;
};

void Rewriting::fuse() {
  std::vector<Node*> nodes;
  walk(*graph_.block(), [&](Node& node) {
    if (layouts_.is_convolution(&node)) nodes.push_back(&node);
  });
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
  table_.all.push_back(layouts_.take(&node));
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
  const auto* list = joined_list(node);
  auto& holder = list ? *node.inputs()[0]->node() : node;
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
    if (!layouts_.flag(value) || layouts_.stays({&node, i})) continue;
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

c10::IValue prepare_layouts(const std::shared_ptr<Graph>& graph) {
  auto table = c10::make_intrusive<Convolutions>();
  auto* value = graph->addInput("convolutions");
  value->setType(c10::AnyType::get());
  if (at::globalContext().hasMKLDNN() && at::globalContext().userEnabledMkldnn()) {
    Writes writes(graph);
    Layouts layouts(*graph, writes);
    if (!layouts.none()) Rewriting(*graph, layouts, writes, *table, value).run();
  }
  torch::jit::EliminateDeadCode(graph);
  graph->lint();
  return c10::IValue::make_capsule(std::move(table));
}

}  // namespace polyact
