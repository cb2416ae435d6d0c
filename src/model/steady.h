// Networks whose results are not those of their weights and the images alone.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <memory>
#include <stdexcept>

namespace polyact {

// One line that says what in a network makes its accuracy meaningless, and what to do.
struct Unsteady : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws [`Unsteady`] if `graph` draws random numbers, was traced in training mode, changes its own state, is quantised, or
// computes on another device than `device`.
void refuse_unsteady(const std::shared_ptr<torch::jit::Graph>& graph, c10::Device device);

}  // namespace polyact
