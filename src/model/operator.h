// The operator that stands at every site of a swapped graph, and the table of activations that it asks.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/custom_class.h>

namespace polyact {

struct Sites;

// The table of one forward pass and how many images it is of, as a value of the graph.
struct SitesHolder : torch::CustomClassHolder {
  SitesHolder(const Sites& sites, int64_t images, bool weighs = false) : sites(sites), images(images), weighs(weighs) {}
  const Sites& sites;
  int64_t images;
  // Whether the sites are told the gradient of what they give, when it is known.
  bool weighs;
};

// Whether nobody else sees the memory of `x`, and a result may lie there as PyTorch would lay out a new one: the
// interpreter gives a value away at its last use, and whoever is given it may write into it.
bool is_given_away(const at::Tensor& x);

// Makes the operator known; needed before a graph has it.
void register_site();

}  // namespace polyact
