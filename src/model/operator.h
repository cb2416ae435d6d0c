// The operator that stands at every site of a swapped graph, and the table of activations that it asks.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/custom_class.h>

namespace polyact {

struct Sites;

// The table of one forward pass, as a value of the graph.
struct SitesHolder : torch::CustomClassHolder {
  explicit SitesHolder(const Sites& sites) : sites(sites) {}
  const Sites& sites;
};

// The table that `value` of the graph holds.
const Sites& sites_of(const c10::IValue& value);

// What site `index` makes of `x`, into `x` itself if `in_place` or if nobody else holds it.
at::Tensor compute_site(const Sites& sites, int64_t index, at::Tensor x, bool in_place);

// Whether nobody else sees the memory of `x`: the interpreter gives a value away at its last use, and whoever is given
// it may write into it.
bool is_given_away(const at::Tensor& x);

}  // namespace polyact
