// libtorch's threads and switches.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "rust/cxx.h"

namespace polyact {

void allow_tf32(bool allowed);
void keep_memory();
std::unique_ptr<at::Tensor> upload(const at::Tensor& tensor, rust::Str device);
size_t current_stream(int8_t device);
void parallel(size_t total, size_t grain, rust::Fn<void(size_t, size_t, size_t)> task, size_t context);

}  // namespace polyact
