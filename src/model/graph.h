// The frozen graph as Rust sees it.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <memory>
#include <vector>

namespace polyact {

struct RawGraph;

// What `graph` is made of. Nodes, blocks and values are numbered from 0; the first block is the graph itself.
RawGraph describe(const std::shared_ptr<torch::jit::Graph>& graph);

// The nodes of `graph` in the order of their numbers.
std::vector<torch::jit::Node*> numbered(torch::jit::Graph& graph);

}  // namespace polyact
