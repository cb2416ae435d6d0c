// Convolutions over images, prepared for the CPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/custom_class.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace polyact {

// A convolution over [N, C, H, W] with constant f32 weights.
class Convolution {
 public:
  // What `node` is, if it is such a convolution and its geometry is one that PyTorch takes.
  static std::unique_ptr<Convolution> of(const torch::jit::Node& node);

  // Whether oneDNN can be given x.
  bool takes(const at::Tensor& x) const;
  std::vector<int64_t> output_shape(const at::Tensor& x) const;

  // By oneDNN, of any x that it takes; the output lies channels-last.
  at::Tensor prepared(const at::Tensor& x) const;
  // The same, added to `sum`, which lies channels-last.
  void prepared_onto(at::Tensor& sum, const at::Tensor& x) const;
  // As PyTorch does it, with its layout and its errors.
  at::Tensor as_pytorch(const at::Tensor& x) const;

 private:
  int64_t reach(size_t axis) const { return dilation_[axis] * (shape_[2 + axis] - 1) + 1; }
  at::Tensor packed_for(const at::Tensor& x) const;

  std::optional<at::Tensor> bias_;
  std::vector<int64_t> shape_, stride_, padding_, dilation_;
  int64_t groups_ = 1;
  // As in the archive until the first input comes, then packed.
  mutable at::Tensor weight_;
  mutable std::mutex packing_;
};

// The convolutions of a network, as a value of its graph.
struct Convolutions : torch::CustomClassHolder {
  std::vector<std::unique_ptr<Convolution>> all;
};

// Makes the operator known that runs one of them; needed before a graph has it.
void register_convolution();

}  // namespace polyact
