// Which of the tensors that a network returns are its logits.
#pragma once

#include <ATen/core/ivalue.h>

#include <string>

namespace polyact {

// The logits, and how they are named where the network returns more than a tensor: `1` in a tuple, `scores` in a dictionary,
// `1.0` deeper.
struct Logits {
  at::Tensor tensor;
  std::string name;
};

// The logits in what a network returned for so many images: the tensor named `wanted`, or, if that is empty, the only one of
// shape [images, classes] or [images, classes, 1, 1]. The latter becomes the former. Throws one line that lists what there is.
Logits logits_of(const c10::IValue& output, const std::string& wanted, int64_t images);

}  // namespace polyact
