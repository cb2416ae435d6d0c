// A frozen TorchScript network whose ReLUs and max-pools ask a table what to compute.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include "rust/cxx.h"

namespace polyact {

struct RawGraph;
struct RawLayouts;
struct Sites;

class Network {
 public:
  Network(torch::jit::Module module, std::string extra);

  rust::Str extra() const;
  RawGraph graph() const;
  // Makes sites of the nodes with these numbers, in the order of execution, and lays out values as `layouts` says; once, before
  // the first pass.
  void prepare(rust::Slice<const size_t> sites, const RawLayouts& layouts);
  // The logits of a pass: the output of this name, or the only one that can be; `taken` receives its name, empty where the
  // network returns one tensor.
  std::unique_ptr<at::Tensor> forward(const at::Tensor& input, const Sites& sites, rust::Str output, rust::String& taken) const;

 private:
  torch::jit::Module module_;
  std::string extra_;
  // Whether a pass writes into the images it is given.
  bool writes_input_ = false;
  c10::IValue convolutions_;
  torch::jit::Code code_;
};

std::unique_ptr<Network> load(rust::Str path, rust::Str device, rust::Str extra_file);

}  // namespace polyact
