// What people call a node of a graph.
#pragma once

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <string>

namespace polyact {

// Lets nodes be named by their whole path where modules call members of their members, as of a ModuleList, or members that
// are declared as interfaces. Before freezing, which inlines the calls.
void name_members(const torch::jit::Module& module);

// `layer1.0.relu`: the path of modules down to the node; where a function and no module was called, its name is added.
std::string node_name(const torch::jit::Node& node);

// Takes from the nodes of `graph` the functions that they were inlined from, after which none has a name. Freezing removes
// functions, and libtorch would look at them to say where an error came from.
void forget_functions(torch::jit::Graph& graph, torch::jit::Function& forward);

}  // namespace polyact
