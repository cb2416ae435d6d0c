// The frozen graph as Rust sees it.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <cstdint>
#include <unordered_map>

#include "polyact/src/model/writes.h"

namespace polyact {

struct RawGraph;

// What `graph` is made of; `sites` are the nodes that are sites, and which. Blocks and values are numbered from 0; the first
// block is the graph itself.
RawGraph describe(torch::jit::Graph& graph, const Writes& writes, const std::unordered_map<const torch::jit::Node*, int64_t>& sites);

}  // namespace polyact
