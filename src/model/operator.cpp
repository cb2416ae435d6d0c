#include "polyact/src/model/operator.h"

#include <torch/csrc/jit/runtime/custom_operator.h>

#include "polyact/src/model/bridge.rs.h"
#include "polyact/src/model/strides.h"

namespace polyact {

namespace {

void site(torch::jit::Stack& stack, bool in_place) {
  const auto index = torch::jit::pop(stack).toInt();
  const auto holder = c10::static_intrusive_pointer_cast<SitesHolder>(torch::jit::pop(stack).toCapsule());
  auto x = torch::jit::pop(stack).toTensor();
  const auto at = static_cast<size_t>(index);
  // PyTorch's result for a contiguous tensor lies in default strides, whatever those of axes of one element were.
  const bool plain = !in_place && x.is_contiguous() && !is_pool(holder->sites, at);
  // A gradient needs what an operator was given.
  const bool weighs = holder->weighs && x.requires_grad();
  const auto before = weighs ? x.detach().clone() : at::Tensor();
  in_place = in_place || (!holder->weighs && is_given_away(x));
  auto given = std::make_unique<at::Tensor>(std::move(x));
  auto y = apply(holder->sites, at, std::move(given), in_place, holder->images);
  if (weighs && y->requires_grad()) {
    y->register_hook([holder, at, before](const at::Tensor& gradient) {
      c10::InferenceMode inference;
      weigh(holder->sites, at, std::make_unique<at::Tensor>(before), std::make_unique<at::Tensor>(gradient), holder->images);
    });
  }
  torch::jit::push(stack, plain ? in_default_strides(*y) : std::move(*y));
}

}  // namespace

void register_site() {
  // The interpreter runs these; they never meet the dispatcher, so they need no kernel per device.
  static const torch::jit::RegisterOperators operators({
      torch::jit::Operator(
          "polyact::site(Tensor x, Any sites, int index) -> Tensor",
          [](torch::jit::Stack& stack) { site(stack, false); }, c10::AliasAnalysisKind::FROM_SCHEMA),
      torch::jit::Operator(
          "polyact::site_(Tensor(a!) x, Any sites, int index) -> Tensor(a!)",
          [](torch::jit::Stack& stack) { site(stack, true); }, c10::AliasAnalysisKind::FROM_SCHEMA),
  });
}

bool is_given_away(const at::Tensor& x) {
  return x.use_count() == 1 && x.has_storage() && x.storage().use_count() == 1 && x.is_non_overlapping_and_dense();
}

}  // namespace polyact
