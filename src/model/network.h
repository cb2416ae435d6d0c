// A frozen TorchScript network whose ReLUs and max-pools ask a table what to compute.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include "polyact/src/model/segments.h"
#include "rust/cxx.h"

namespace polyact {

struct RawGraph;
struct RawLayouts;
struct RawSegment;
struct Sites;

class Network {
 public:
  Network(torch::jit::Module module, std::string extra);

  rust::Str extra() const;
  RawGraph graph() const;
  // Makes sites of the nodes with these numbers, in the order of execution, and lays out values as `layouts` says; once, before
  // the first pass.
  void prepare(rust::Slice<const size_t> sites, const RawLayouts& layouts);
  // The segments between whose cuts passes can stop, and branch.
  rust::Vec<RawSegment> segments() const;

  // A pass at its beginning.
  std::unique_ptr<PartialPass> begin(const at::Tensor& input) const;
  // Another pass that goes on from where `pass` is.
  std::unique_ptr<PartialPass> branch(const PartialPass& pass) const;
  // Goes on to the cut before segment `to`, and waits until the device is there.
  void advance(PartialPass& pass, size_t to, const Sites& sites) const;
  // Goes on to the end. The logits: the output of this name, or the only one that can be; `taken` receives its name, empty where
  // the network returns one tensor.
  std::unique_ptr<at::Tensor> finish(std::unique_ptr<PartialPass> pass, const Sites& sites, rust::Str output, rust::String& taken) const;
  // Tells the sites, for each of what they give, the gradient of its image's margin: the largest less the second largest logit.
  void weigh(const at::Tensor& input, const Sites& sites, rust::Str output) const;

 private:
  // Made when they are first asked for.
  const Segments& cut() const;
  const torch::jit::Code& differentiable() const;

  torch::jit::Module module_;
  std::string extra_;
  // Whether a pass writes into the images it is given.
  bool writes_input_ = false;
  c10::IValue convolutions_;
  // Of the graph as a whole.
  torch::jit::Code code_;
  mutable std::once_flag cutting_;
  mutable std::unique_ptr<Segments> segments_;
  // The graph with PyTorch's own convolutions, which have gradients.
  std::shared_ptr<torch::jit::Graph> plain_;
  mutable std::once_flag differentiating_;
  mutable torch::jit::Code plain_code_;
};

std::unique_ptr<Network> load(rust::Str path, rust::Str device, rust::Str extra_file);

}  // namespace polyact
