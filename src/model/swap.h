// Putting the table's operator in the place of every site.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <vector>

namespace polyact {

// Makes each of `sites`, nodes of `graph`, an operator of ours that reads its entry in the table, the graph's new last input.
void swap_sites(torch::jit::Graph& graph, const std::vector<torch::jit::Node*>& sites);

}  // namespace polyact
