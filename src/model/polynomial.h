// What in a graph depends on the values of the image, and which of it is no polynomial in them.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <unordered_set>

#include "polyact/src/model/writes.h"

namespace polyact {

// The values of a graph that depend on the values of the image: under encryption these are ciphertexts. Parameters, and
// what is made of shapes alone, are known in plaintext.
class Encrypted {
 public:
  Encrypted(torch::jit::Graph& graph, const Writes& writes);

  bool has(const torch::jit::Value* value) const { return values_.count(value) > 0; }

 private:
  bool add(const torch::jit::Value* value) { return values_.insert(value).second; }
  bool spread(torch::jit::Block& block);
  bool spread(torch::jit::Node& node);
  bool spread_conditional(torch::jit::Node& node);
  bool spread_loop(torch::jit::Node& node);

  std::unordered_set<const torch::jit::Value*> values_;
};

// Whether values of this type are tensors or hold some.
bool holds_tensors(const c10::TypePtr& type);

// Whether `node` computes from ciphertexts what additions and multiplications cannot, batch norm over the statistics of
// the batch and control flow among it.
bool is_foreign(const torch::jit::Node& node, const Encrypted& encrypted);

}  // namespace polyact
