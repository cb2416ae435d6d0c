// How a tensor lies in memory.
#pragma once

#include <ATen/core/Tensor.h>

namespace polyact {

// `x` as PyTorch makes new tensors: row by row, the strides of axes of length 1 included. A view where x lies so already.
at::Tensor in_default_strides(const at::Tensor& x);

// Whether PyTorch makes channels-last outputs of `x`.
bool suggests_channels_last(const at::Tensor& x);

// Makes the operators known that change how tensors lie; needed before a graph has them.
void register_strides();

}  // namespace polyact
