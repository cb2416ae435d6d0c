// TorchScript archives: what a file is, and its network, frozen.
#pragma once

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <exception>
#include <string>

namespace polyact {

// libtorch's exceptions carry two backtraces; the last line that names an error is what went wrong.
std::string one_line(const std::exception& error);

// The network in the archive at `path` on `device`, in evaluation mode and frozen, its arguments with defaults filled in;
// `extra` receives the extra files it names. Throws one line that says what else the file is, what is wrong with it, or why
// its accuracy would not be the network's.
torch::jit::Module load_frozen(const std::string& path, c10::Device device, torch::jit::ExtraFilesMap& extra);

}  // namespace polyact
