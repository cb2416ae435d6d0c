// Who writes to the memory of a value of the graph, and when.
#pragma once

#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/ir/ir.h>

#include <memory>
#include <vector>

namespace polyact {

// Every node of `block`, those of inner blocks before the node that holds them.
template <typename Visit>
void walk(torch::jit::Block& block, const Visit& visit) {
  for (auto it = block.nodes().begin(); it != block.nodes().end();) {
    auto* node = *it++;
    for (auto* inner : node->blocks()) walk(*inner, visit);
    visit(*node);
  }
}

// Lets the alias analysis see the views, or the very operands, that some operators give although their schema says otherwise: an
// operator of ours hands on what they give, and its schema tells of what it may be.
void show_views(torch::jit::Graph& graph);

// Makes that operator known; needed before `show_views`.
void register_view();

// The writes in a graph, as they were when this was made.
class Writes {
 public:
  explicit Writes(const std::shared_ptr<torch::jit::Graph>& graph);

  torch::jit::AliasDb& aliases() { return aliases_; }

  // The nodes that write to anything, and some that may.
  const std::vector<torch::jit::Node*>& all() const { return writers_; }

  // Whether `node` may write to memory that `value` may see.
  bool by(torch::jit::Node* node, const torch::jit::Value* value) const { return aliases_.writesToAlias(node, torch::jit::ValueSet{value}); }

  // Whether anything writes to memory that `value` may see.
  bool any(const torch::jit::Value* value) const { return aliases_.hasWriters(value); }

  // Whether all that `value` may see is written for the last time before `node` runs. `value` must be defined in a block
  // around `node`, and the memory in the same block as `value`: then every turn of a loop has memory of its own.
  bool over_before(torch::jit::Value* value, const torch::jit::Node* node) const;

  // Whether all that `value` may see stays as it is once the node that gives it has run.
  bool over_at(torch::jit::Value* value) const;

 private:
  bool over(torch::jit::Value* value, const torch::jit::Node* node, bool itself) const;

  torch::jit::AliasDb aliases_;
  std::vector<torch::jit::Node*> writers_;
};

// The node of `block` that is `node` or holds it; none if `node` is not inside `block`.
const torch::jit::Node* ancestor(const torch::jit::Node* node, const torch::jit::Block* block);

}  // namespace polyact
