// Finding the sites of a frozen graph, and what else in it is no polynomial.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <memory>
#include <vector>

namespace polyact {

struct RawSite;
struct RawForeign;
struct RawGraph;

// Makes every site of `graph` an operator of ours that reads the table in the graph's new last input. Returns the sites in
// graph order; `foreign` receives what is neither a site nor a polynomial, `description` what the graph is made of.
std::vector<RawSite> swap_sites(const std::shared_ptr<torch::jit::Graph>& graph, std::vector<RawForeign>& foreign, RawGraph& description);

}  // namespace polyact
