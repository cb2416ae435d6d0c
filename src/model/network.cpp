// Preparing and running a TorchScript network. What is read is in archive.cpp; which nodes are sites is decided in Rust.
#include "polyact/src/model/network.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/topk.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/autograd.h>

#include "polyact/src/model/archive.h"
#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/convolution.h"
#include "polyact/src/model/forks.h"
#include "polyact/src/model/graph.h"
#include "polyact/src/model/layout.h"
#include "polyact/src/model/naming.h"
#include "polyact/src/model/operator.h"
#include "polyact/src/model/output.h"
#include "polyact/src/model/strides.h"
#include "polyact/src/model/swap.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

// Makes our operators known. A global that registers itself would be simpler, and would keep libtorch linked to every program that
// this object is linked into, those that run no network included.
void register_operators() {
  register_completed();
  register_convolution();
  register_site();
  register_strides();
  register_view();
}

}  // namespace

std::unique_ptr<Network> load(rust::Str path, rust::Str device, rust::Str extra_file) {
  register_operators();
  std::string name(extra_file);
  torch::jit::ExtraFilesMap extra{{name, ""}};
  auto module = load_frozen(std::string(path), c10::Device(std::string(device)), extra);
  return std::make_unique<Network>(std::move(module), std::move(extra[name]));
}

Network::Network(torch::jit::Module module, std::string extra) : module_(std::move(module)), extra_(std::move(extra)) {}

rust::Str Network::extra() const { return extra_; }

RawGraph Network::graph() const { return describe(module_.get_method("forward").graph()); }

void Network::prepare(rust::Slice<const size_t> sites, const RawLayouts& layouts) {
  auto graph = module_.get_method("forward").graph();
  writes_input_ = Writes(graph).any(graph->inputs()[1]);
  auto nodes = numbered(*graph);
  swap_sites(*graph, nodes, sites);
  plain_ = graph->copy();
  convolutions_ = prepare_layouts(graph, nodes, layouts);
  forget_functions(*graph, module_.get_method("forward").function());
  // The interpreter alone, without the profiling executor: nothing is re-specialised between calls.
  code_ = torch::jit::Code(graph, "forward");
}

const Segments& Network::cut() const {
  std::call_once(cutting_, [&] { segments_ = std::make_unique<Segments>(module_.get_method("forward").graph()); });
  return *segments_;
}

rust::Vec<RawSegment> Network::segments() const {
  rust::Vec<RawSegment> all;
  for (size_t i = 0; i < cut().count(); i++) {
    RawSegment segment{{}, cut().may_branch(i)};
    for (const auto site : cut().sites(i)) segment.sites.push_back(site);
    all.push_back(std::move(segment));
  }
  return all;
}

const torch::jit::Code& Network::differentiable() const {
  std::call_once(differentiating_, [&] { plain_code_ = torch::jit::Code(plain_, "forward"); });
  return plain_code_;
}

void Network::weigh(const at::Tensor& input, const Sites& sites, rust::Str output) const {
  c10::AutoGradMode gradients(true);
  const auto images = input.dim() > 0 ? input.size(0) : 0;
  const auto leaf = input.detach().requires_grad_(true);
  auto table = c10::IValue::make_capsule(c10::make_intrusive<SitesHolder>(sites, images, true));
  // Not the leaf itself: networks may write into their input.
  torch::jit::Stack stack{module_._ivalue(), leaf.clone(), std::move(table)};
  interpret(differentiable(), stack);
  try {
    const auto logits = logits_of(stack.back(), std::string(output), images).tensor;
    const auto best = std::get<0>(logits.topk(2, 1));
    const auto margins = best.select(1, 0).sub(best.select(1, 1));
    using torch::autograd::variable_list;
    torch::autograd::grad(variable_list{margins.sum()}, variable_list{leaf});
  } catch (const std::exception& error) {
    throw std::runtime_error(one_line(error));
  }
}

std::unique_ptr<PartialPass> Network::begin(const at::Tensor& input) const {
  c10::InferenceMode inference;
  // The next pass wants the same images.
  PartialPass pass{0, input.dim() > 0 ? input.size(0) : 0, input.device(), {writes_input_ ? input.clone() : input}};
  return std::make_unique<PartialPass>(std::move(pass));
}

std::unique_ptr<PartialPass> Network::branch(const PartialPass& pass) const {
  c10::InferenceMode inference;
  return std::make_unique<PartialPass>(cut().branch(pass));
}

void Network::advance(PartialPass& pass, size_t to, const Sites& sites) const {
  c10::InferenceMode inference;
  auto table = c10::IValue::make_capsule(c10::make_intrusive<SitesHolder>(sites, pass.images));
  cut().run(pass, to, {module_._ivalue(), std::move(table), convolutions_});
  if (!pass.device.is_cpu()) c10::impl::VirtualGuardImpl(pass.device.type()).getStream(pass.device).synchronize();
}

std::unique_ptr<at::Tensor> Network::finish(std::unique_ptr<PartialPass> pass, const Sites& sites, rust::Str output, rust::String& taken) const {
  c10::InferenceMode inference;
  auto table = c10::IValue::make_capsule(c10::make_intrusive<SitesHolder>(sites, pass->images));
  if (pass->next == 0) {
    torch::jit::Stack stack{module_._ivalue(), std::move(pass->values[0]), std::move(table), convolutions_};
    interpret(code_, stack);
    pass->values = std::move(stack);
  } else {
    cut().run(*pass, cut().count(), {module_._ivalue(), std::move(table), convolutions_});
  }
  auto logits = logits_of(pass->values.back(), std::string(output), pass->images);
  taken = rust::String(logits.name);
  return std::make_unique<at::Tensor>(std::move(logits.tensor));
}

}  // namespace polyact
