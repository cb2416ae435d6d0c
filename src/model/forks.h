// Work that a network hands to other threads.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace polyact {

// Puts what `torch.jit.fork` runs into the graph itself, at the place of the call, where its sites are sites like any.
void inline_forks(const std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace polyact
