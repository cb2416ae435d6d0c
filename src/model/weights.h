// What the weights of an operation make of independent errors.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <cstdint>

namespace polyact {

struct Weights {
  // By how much the result's error is larger than the operand's, root mean square over the results; -1 where that is not known.
  double gain = -1;
  // How many numbers a result of a linear layer is made of; -1 of everything else.
  int64_t takes = -1;
};

// Of `node`, if it computes with one tensor that is not constant and with constants.
Weights weights(const torch::jit::Node& node);

}  // namespace polyact
