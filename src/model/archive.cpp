#include "polyact/src/model/archive.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_concat_linear.h>
#include <torch/csrc/jit/passes/frozen_conv_folding.h>
#include <torch/csrc/jit/passes/remove_dropout.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <fstream>

#include "polyact/src/model/forks.h"
#include "polyact/src/model/naming.h"
#include "polyact/src/model/steady.h"
#include "polyact/src/model/writes.h"

namespace polyact {

namespace {

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
    // A length of eight bytes, then JSON.
    file.clear();
    file.seekg(8);
    const auto ends_in = [&](std::string_view end) { return path.size() >= end.size() && path.compare(path.size() - end.size(), end.size(), end) == 0; };
    if (ends_in(".safetensors") || (!pickle && file.peek() == '{')) {
      throw std::runtime_error(
          "is a file of safetensors, weights without a graph: load them into the model, and export that with torch.jit.trace or "
          "torch.jit.script");
    }
    if (ends_in(".onnx")) {
      throw std::runtime_error("is a network in ONNX, not TorchScript: export the PyTorch model with torch.jit.trace or torch.jit.script");
    }
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
  for (const auto& record : reader->getAllRecords()) {
    if (record.find("models/") == 0 || record.find("serialized_exported_program") != std::string::npos) {
      throw std::runtime_error(
          "is an archive of torch.export, not TorchScript: export the model with torch.jit.trace or torch.jit.script");
    }
  }
  if (!reader->hasRecord("constants.pkl")) {
    throw std::runtime_error(
        reader->hasRecord("data.pkl")
            ? "holds a state_dict or a pickled object (torch.save), not TorchScript: build the model, load the state_dict "
              "into it, and export it with torch.jit.trace or torch.jit.script"
            : "is a zip file, but not a TorchScript archive");
  }
}

// As torch.jit.optimize_for_inference stores them.
bool has_packed_weights(const std::exception& error) {
  return std::string(error.what()).find("required keyword attribute 'value'") != std::string::npos;
}

// What a call with the images alone gives the other arguments.
void fill_defaults(const torch::jit::Method& forward, torch::jit::Graph& graph) {
  const auto& arguments = forward.function().getSchema().arguments();
  std::string missing;
  for (size_t i = graph.inputs().size(); i-- > 2;) {
    const auto value = i < arguments.size() ? arguments[i].default_value() : std::nullopt;
    if (!value) {
      missing = graph.inputs()[i]->debugName() + (missing.empty() ? "" : ", ") + missing;
      continue;
    }
    torch::jit::WithInsertPoint at(*graph.nodes().begin());
    graph.inputs()[i]->replaceAllUsesWith(graph.insertConstant(*value));
    graph.eraseInput(i);
  }
  const auto count = graph.inputs().size() - 1;
  if (count != 1) {
    throw std::runtime_error(
        "takes " + std::to_string(count) + " inputs" + (missing.empty() ? "" : " without defaults (" + missing + " beside the images)") +
        "; an image classifier takes one batch of images");
  }
}

// What stands behind convolutions of one output channel, so that nothing is folded into them. One channel lies alike whatever
// the order of axes, and whoever comes next takes the order from strides, which a batch norm, say, sets anew.
class Guards {
 public:
  explicit Guards(torch::jit::Graph& graph) {
    walk(*graph.block(), [&](torch::jit::Node& node) {
      const auto kind = node.kind();
      const bool convolves = kind == c10::aten::conv1d || kind == c10::aten::conv2d || kind == c10::aten::conv3d || kind == c10::aten::_convolution;
      const auto weight = convolves ? torch::jit::toIValue(node.inputs()[1]) : std::nullopt;
      if (!weight || !weight->isTensor() || weight->toTensor().dim() == 0 || weight->toTensor().size(0) != 1) return;
      auto* guard = graph.create(c10::aten::alias, {node.output()});
      guard->insertAfter(&node);
      node.output()->replaceAllUsesAfterNodeWith(guard, guard->output());
      guards_.push_back(guard);
    });
  }

  void remove() {
    for (auto* guard : guards_) {
      guard->output()->replaceAllUsesWith(guard->input());
      guard->destroy();
    }
  }

 private:
  std::vector<torch::jit::Node*> guards_;
};

// What torch::jit::OptimizeFrozenGraph does but for the folding of batch norms into linear layers, which is wrong where these
// have more than two axes or another use (PyTorch 2.13).
void optimize(std::shared_ptr<torch::jit::Graph>& graph) {
  Guards guards(*graph);
  torch::jit::removeDropout(graph);
  torch::jit::FrozenConcatLinear(graph);
  for (bool changed = true; changed;) {
    changed = torch::jit::FoldFrozenConvBatchnorm(graph);
    changed |= torch::jit::FoldFrozenConvAddOrSub(graph);
    changed |= torch::jit::FoldFrozenConvMulOrDiv(graph);
  }
  guards.remove();
}

}  // namespace

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

torch::jit::Module load_frozen(const std::string& path, c10::Device device, torch::jit::ExtraFilesMap& extra) {
  check_archive(path);
  torch::jit::Module module;
  try {
    module = torch::jit::load(path, device, extra);
  } catch (const std::exception& error) {
    throw std::runtime_error(
        has_packed_weights(error)
            ? "was saved after torch.jit.optimize_for_inference, whose packed weights are not in the archive: save it before"
            : "cannot be loaded: " + one_line(error));
  }
  const auto forward = module.find_method("forward");
  if (!forward) throw std::runtime_error("cannot be loaded: has no forward method");
  const bool has_defaults = forward->function().getSchema().arguments().size() > 2;
  try {
    module.eval();
    name_members(module);
    torch::jit::freeze_module_inplace(&module);
    auto graph = module.get_method("forward").graph();
    inline_forks(graph);
  } catch (const std::exception& error) {
    throw std::runtime_error("cannot be loaded: " + one_line(error));
  }
  auto graph = module.get_method("forward").graph();
  fill_defaults(module.get_method("forward"), *graph);
  show_views(*graph);
  try {
    if (has_defaults) torch::jit::ConstantPropagation(graph);
    refuse_unsteady(graph, device);
    optimize(graph);
    // As before every run in PyTorch: numbers that a trace wrote down as tensors are numbers again, whose kind is no one's.
    torch::jit::runRequiredPasses(graph);
  } catch (const Unsteady& error) {
    throw;
  } catch (const std::exception& error) {
    throw std::runtime_error("cannot be loaded: " + one_line(error));
  }
  return module;
}

}  // namespace polyact
