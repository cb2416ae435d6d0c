#include "polyact/src/model/operator.h"

#include <torch/csrc/jit/runtime/custom_operator.h>

#include "polyact/src/model/bridge.rs.h"

namespace polyact {

namespace {

void site(torch::jit::Stack& stack, bool in_place) {
  auto index = torch::jit::pop(stack).toInt();
  auto sites = torch::jit::pop(stack);
  auto x = torch::jit::pop(stack).toTensor();
  torch::jit::push(stack, compute_site(sites_of(sites), index, std::move(x), in_place));
}

// The interpreter runs these; they never meet the dispatcher, so they need no kernel per device.
torch::jit::RegisterOperators operators({
    torch::jit::Operator(
        "polyact::site(Tensor x, Any sites, int index) -> Tensor",
        [](torch::jit::Stack& stack) { site(stack, false); }, c10::AliasAnalysisKind::FROM_SCHEMA),
    torch::jit::Operator(
        "polyact::site_(Tensor(a!) x, Any sites, int index) -> Tensor(a!)",
        [](torch::jit::Stack& stack) { site(stack, true); }, c10::AliasAnalysisKind::FROM_SCHEMA),
});

}  // namespace

const Sites& sites_of(const c10::IValue& value) {
  return c10::static_intrusive_pointer_cast<SitesHolder>(value.toCapsule())->sites;
}

at::Tensor compute_site(const Sites& sites, int64_t index, at::Tensor x, bool in_place) {
  in_place = in_place || is_given_away(x);
  return *apply(sites, static_cast<size_t>(index), std::make_unique<at::Tensor>(std::move(x)), in_place);
}

bool is_given_away(const at::Tensor& x) {
  return x.use_count() == 1 && x.has_storage() && x.storage().use_count() == 1;
}

}  // namespace polyact
