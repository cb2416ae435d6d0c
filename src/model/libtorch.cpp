#include "polyact/src/model/libtorch.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <malloc.h>

#include <unordered_map>

namespace polyact {

void keep_memory() {
#ifdef __GLIBC__
  // The two below act on the main arena only, and passes run on threads: all threads share it.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
}

void allow_tf32(bool allowed) {
  at::globalContext().setAllowTF32CuDNN(allowed);
  at::globalContext().setAllowTF32CuBLAS(allowed);
}

std::unique_ptr<at::Tensor> upload(const at::Tensor& tensor, rust::Str name) {
  const c10::Device device{std::string(name)};
  const c10::DeviceGuard on(device);
  const c10::impl::VirtualGuardImpl streams(device.type());
  const auto computing = streams.getStream(device);
  // One for each thread that copies: of a new one for every copy, libtorch would keep memory for each of its 32 streams.
  thread_local std::unordered_map<c10::Device, c10::Stream> copiers;
  auto found = copiers.find(device);
  if (found == copiers.end()) found = copiers.emplace(device, streams.getStreamFromGlobalPool(device)).first;
  const auto copying = found->second;
  at::Tensor there;
  {
    const c10::StreamGuard guard(copying);
    there = tensor.pin_memory().to(device, /*non_blocking=*/true);
  }
  copying.synchronize();
  // The memory belongs to the stream that copied: it may be reused only when the one that computes is done with it.
  there.record_stream(computing);
  return std::make_unique<at::Tensor>(std::move(there));
}

size_t current_stream(int8_t index) {
  const c10::Device device(c10::kCUDA, index);
  const auto stream = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(device);
  return reinterpret_cast<size_t>(stream.native_handle());
}

void parallel(size_t total, size_t grain, rust::Fn<void(size_t, size_t, size_t)> task, size_t context) {
  at::parallel_for(0, static_cast<int64_t>(total), static_cast<int64_t>(grain), [&](int64_t begin, int64_t end) {
    task(context, static_cast<size_t>(begin), static_cast<size_t>(end));
  });
}

}  // namespace polyact
