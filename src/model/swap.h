// Putting the table's operator in the place of every site.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <vector>

#include "rust/cxx.h"

namespace polyact {

// Makes each of `sites`, numbers of `nodes` of `graph`, an operator of ours that reads its entry in the table, the graph's new
// last input. The operators take the places of what they replace in `nodes`.
void swap_sites(torch::jit::Graph& graph, std::vector<torch::jit::Node*>& nodes, rust::Slice<const size_t> sites);

}  // namespace polyact
