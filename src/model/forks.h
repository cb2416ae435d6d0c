// Work that a network hands to other threads.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace polyact {

// Puts what `torch.jit.fork` runs into the graph itself, at the place of the call, where its sites are sites like any.
void inline_forks(const std::shared_ptr<torch::jit::Graph>& graph);

// Makes the operator known that gives the result of such a call; needed before `inline_forks`.
void register_completed();

}  // namespace polyact
