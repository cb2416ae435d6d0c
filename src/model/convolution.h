// Convolutions prepared for the CPU.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace polyact {

// Replaces the convolutions of a swapped graph, whose weights are constants, by an operator of ours: its weights are
// packed at the first input in the order of oneDNN's kernels, its output is channels-last, and the addition of a residual
// is done with the sum in registers. oneDNN could do an exact ReLU there as well, but its ReLU makes 0 of NaN. Without
// oneDNN, or on another device, every convolution stays as it is. Returns the value of the graph's new last input.
c10::IValue pack_convolutions(const std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace polyact
