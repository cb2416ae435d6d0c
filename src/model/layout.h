// Where values of a network may lie in memory as the kernels like it, and where they must lie as PyTorch has them.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <memory>
#include <vector>

namespace polyact {

struct RawLayouts;

// Replaces the convolutions of a swapped graph, whose weights are constants on the CPU, by an operator that runs oneDNN's
// kernels on weights packed once, channels-last, and adds a residual with the sum in registers. oneDNN could do an exact
// ReLU there as well, but its ReLU makes 0 of NaN. Without oneDNN, or on another device, every convolution stays as it is.
//
// Nobody sees the other layout: a value lies channels-last only where PyTorch would show it contiguous, and only as long as
// all who use it are known not to look at strides (sites, convolutions, pools, sums, products, pointwise functions, batch
// norms, means, concatenations). Whoever else uses it gets it as PyTorch would give it. That is a copy, so it is done
// only where nobody writes to the value afterwards; where somebody does, the value is brought into PyTorch's layout at
// its birth. Which case holds may depend on the input of a convolution, so each such value has a flag, a boolean of the
// graph that says at run time whether it lies otherwise than PyTorch would show it.
//
// Which values these are is decided in Rust (graph/layouts.rs), for the nodes by their numbers. Returns the value of the graph's
// new last input.
c10::IValue prepare_layouts(const std::shared_ptr<torch::jit::Graph>& graph, const std::vector<torch::jit::Node*>& nodes, const RawLayouts& decided);

}  // namespace polyact
