#include "polyact/src/model/libtorch.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

namespace polyact {

void allow_tf32(bool allowed) {
  at::globalContext().setAllowTF32CuDNN(allowed);
  at::globalContext().setAllowTF32CuBLAS(allowed);
}

void parallel(size_t total, size_t grain, rust::Fn<void(size_t, size_t, size_t)> task, size_t context) {
  at::parallel_for(0, static_cast<int64_t>(total), static_cast<int64_t>(grain), [&](int64_t begin, int64_t end) {
    task(context, static_cast<size_t>(begin), static_cast<size_t>(end));
  });
}

}  // namespace polyact
