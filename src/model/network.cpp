// Loading, freezing and running a TorchScript network. The swap itself is in swap.cpp.
#include "polyact/src/model/network.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/serialization/import.h>

#include <fstream>

#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/forks.h"
#include "polyact/src/model/layout.h"
#include "polyact/src/model/operator.h"
#include "polyact/src/model/swap.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

// libtorch's exceptions carry two backtraces; the last line that names an error is what went wrong.
std::string one_line(const std::exception& error) {
  const auto* c10_error = dynamic_cast<const c10::Error*>(&error);
  std::string text = c10_error ? c10_error->what_without_backtrace() : error.what();
  for (const char* mark : {"RuntimeError: ", "torch.jit.Error: "}) {
    auto at = text.rfind(mark);
    if (at != std::string::npos) text = text.substr(at + std::strlen(mark));
  }
  auto end = text.find('\n');
  return text.substr(0, end);
}

// Whether the end-of-directory record of a zip file, 22 bytes, is in its last bytes, where a comment of up to 64 KiB may
// follow it.
bool has_zip_directory(std::ifstream& file) {
  constexpr std::streamoff longest = 22 + 65535;
  file.clear();
  file.seekg(0, std::ios::end);
  const std::streamoff size = file.tellg();
  const std::streamoff length = std::min(size, longest);
  std::string tail(static_cast<size_t>(length), '\0');
  file.seekg(size - length);
  file.read(tail.data(), length);
  const auto at = tail.rfind("PK\5\6");
  return at != std::string::npos && tail.size() - at >= 22;
}

void check_archive(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot be opened: " + std::string(std::strerror(errno)));
  char magic[4] = {};
  file.read(magic, 4);
  if (file.gcount() == 0) throw std::runtime_error("is empty");
  if (std::memcmp(magic, "PK\3\4", 4) != 0) {
    const bool pickle = static_cast<unsigned char>(magic[0]) == 0x80;
    throw std::runtime_error(
        pickle ? "is a Python pickle (an old torch.save), not TorchScript: export the model with torch.jit.trace or torch.jit.script"
               : "is not a TorchScript archive (no zip file)");
  }
  std::unique_ptr<caffe2::serialize::PyTorchStreamReader> reader;
  try {
    reader = std::make_unique<caffe2::serialize::PyTorchStreamReader>(path);
  } catch (const std::exception&) {
    throw std::runtime_error(
        has_zip_directory(file) ? "is a zip file, but not a TorchScript archive"
                                : "is truncated or damaged: the zip directory at its end is missing");
  }
  if (!reader->hasRecord("constants.pkl")) {
    throw std::runtime_error(
        reader->hasRecord("data.pkl")
            ? "holds a state_dict or a pickled object (torch.save), not TorchScript: build the model, load the state_dict "
              "into it, and export it with torch.jit.trace or torch.jit.script"
            : "is a zip file, but not a TorchScript archive");
  }
}

torch::jit::Module frozen(const std::string& path, c10::Device device, torch::jit::ExtraFilesMap& extra) {
  check_archive(path);
  try {
    auto module = torch::jit::load(path, device, extra);
    if (!module.find_method("forward")) throw std::runtime_error("has no forward method");
    module.eval();
    torch::jit::freeze_module_inplace(&module);
    auto graph = module.get_method("forward").graph();
    inline_forks(graph);
    torch::jit::OptimizeFrozenGraph(graph);
    // As before every run in PyTorch: numbers that a trace wrote down as tensors are numbers again, whose kind is no one's.
    torch::jit::runRequiredPasses(graph);
    return module;
  } catch (const std::exception& error) {
    throw std::runtime_error("cannot be loaded: " + one_line(error));
  }
}

}  // namespace

std::unique_ptr<Network> load(rust::Str path, rust::Str device, rust::Str extra_file) {
  std::string name(extra_file);
  torch::jit::ExtraFilesMap extra{{name, ""}};
  auto module = frozen(std::string(path), c10::Device(std::string(device)), extra);
  return std::make_unique<Network>(std::move(module), std::move(extra[name]));
}

Network::Network(torch::jit::Module module, std::string extra) : module_(std::move(module)), extra_(std::move(extra)) {
  auto graph = module_.get_method("forward").graph();
  if (graph->inputs().size() != 2) {
    throw std::runtime_error(
        "takes " + std::to_string(graph->inputs().size() - 1) + " inputs; an image classifier takes one batch of images");
  }
  writes_input_ = Writes(graph).any(graph->inputs()[1]);
  sites_ = swap_sites(graph, foreign_);
  convolutions_ = prepare_layouts(graph);
  // The interpreter alone, without the profiling executor: nothing is re-specialised between calls.
  code_ = torch::jit::Code(graph, "forward");
}

rust::Str Network::extra() const { return extra_; }

rust::Vec<RawSite> Network::sites() const {
  rust::Vec<RawSite> sites;
  for (const auto& site : sites_) sites.push_back(site);
  return sites;
}

rust::Vec<RawForeign> Network::foreign() const {
  rust::Vec<RawForeign> foreign;
  for (const auto& node : foreign_) foreign.push_back(node);
  return foreign;
}

std::unique_ptr<at::Tensor> Network::forward(const at::Tensor& input, const Sites& sites) const {
  c10::InferenceMode inference;
  const auto images = input.dim() > 0 ? input.size(0) : 0;
  auto table = c10::IValue::make_capsule(c10::make_intrusive<SitesHolder>(sites, images));
  // The next pass wants the same images.
  torch::jit::Stack stack{module_._ivalue(), writes_input_ ? input.clone() : input, std::move(table), convolutions_};
  try {
    torch::jit::InterpreterState(code_).run(stack);
  } catch (const std::exception& error) {
    throw std::runtime_error(one_line(error));
  }
  auto output = std::move(stack.back());
  // GoogLeNet and Inception, scripted, return the auxiliary heads beside the logits.
  if (output.isTuple() && !output.toTupleRef().elements().empty()) {
    output = output.toTupleRef().elements()[0];
  }
  if (!output.isTensor()) {
    throw std::runtime_error("returns " + output.tagKind() + ", not a tensor of logits");
  }
  return std::make_unique<at::Tensor>(output.toTensor());
}

}  // namespace polyact
