#include "polyact/src/model/weights.h"

#include <ATen/ops/add.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/rsqrt.h>
#include <torch/csrc/jit/ir/constants.h>

#include <cmath>
#include <optional>
#include <string>

namespace polyact {

namespace {

using torch::jit::Node;

std::optional<at::Tensor> tensor(const Node& node, size_t input) {
  if (input >= node.inputs().size()) return std::nullopt;
  const auto constant = torch::jit::toIValue(node.inputs()[input]);
  if (!constant || !constant->isTensor() || !constant->toTensor().defined()) return std::nullopt;
  const auto found = constant->toTensor();
  return found.is_floating_point() && found.layout() == at::kStrided && found.numel() > 0 ? std::optional(found) : std::nullopt;
}

// The norm of all that goes into one of so many results.
double norm(const at::Tensor& weight, int64_t results) {
  return at::linalg_vector_norm(weight).item<double>() / std::sqrt(static_cast<double>(results));
}

double root_mean_square(const at::Tensor& factors) { return norm(factors, factors.numel()); }

// Of a matrix whose rows, or columns, are the results.
Weights matrix(const at::Tensor& weight, int64_t results_along) {
  if (weight.dim() != 2) return {};
  const auto results = weight.size(results_along);
  return {norm(weight, results), weight.numel() / results};
}

double convolution(const Node& node, const at::Tensor& weight, bool transposed) {
  if (weight.dim() < 3) return -1;
  if (!transposed) return norm(weight, weight.size(0));
  const auto groups = torch::jit::toIValue(node.inputs()[node.kind() == c10::aten::_convolution || node.kind() == c10::aten::convolution ? 8 : 6]);
  return groups && groups->isInt() ? norm(weight, weight.size(1) * groups->toInt()) : -1;
}

double batch_norm(const Node& node) {
  const auto variance = tensor(node, 4), scale = tensor(node, 1);
  const auto epsilon = torch::jit::toIValue(node.inputs()[7]);
  if (!variance || !epsilon || !epsilon->isDouble()) return -1;
  const auto factors = at::rsqrt(at::add(*variance, epsilon->toDouble()));
  return root_mean_square(scale ? at::mul(factors, *scale) : factors);
}

// The only factor that is known, or divisor.
double scaling(const Node& node, bool divides) {
  for (const size_t input : {1, 0}) {
    if (divides && input == 0) break;
    if (const auto factors = tensor(node, input)) return root_mean_square(divides ? at::reciprocal(*factors) : *factors);
    const auto constant = torch::jit::toIValue(node.inputs()[input]);
    if (constant && (constant->isDouble() || constant->isInt())) {
      const auto factor = std::abs(constant->isInt() ? static_cast<double>(constant->toInt()) : constant->toDouble());
      return divides ? 1 / factor : factor;
    }
  }
  return -1;
}

// Of a mean over windows of a fixed size, each number of which has an error of its own.
double average(const Node& node, size_t axes) {
  const auto window = torch::jit::toIValue(node.inputs()[1]);
  if (!window || !window->isIntList() || window->toIntVector().empty()) return -1;
  const auto sides = window->toIntVector();
  double size = 1;
  for (size_t axis = 0; axis < axes; axis++) size *= static_cast<double>(sides.size() == 1 ? sides[0] : sides[axis % sides.size()]);
  return size > 0 ? 1 / std::sqrt(size) : -1;
}

}  // namespace

Weights weights(const Node& node) {
  std::string name = node.kind().toQualString();
  if (name.back() == '_') name.pop_back();
  if (name.find("conv") != std::string::npos) {
    const auto weight = tensor(node, 1);
    if (!weight) return {};
    const auto flag = node.inputs().size() > 6 ? torch::jit::toIValue(node.inputs()[6]) : std::nullopt;
    const bool transposed = name.find("transpose") != std::string::npos || (flag && flag->isBool() && flag->toBool());
    return {convolution(node, *weight, transposed)};
  }
  if (name == "aten::linear") {
    const auto weight = tensor(node, 1);
    return weight ? matrix(*weight, 0) : Weights{};
  }
  if (name == "aten::addmm") {
    const auto weight = tensor(node, 2);
    return weight ? matrix(*weight, 1) : Weights{};
  }
  if (name == "aten::matmul" || name == "aten::mm") {
    if (const auto right = tensor(node, 1)) return matrix(*right, 1);
    const auto left = tensor(node, 0);
    return left ? matrix(*left, 0) : Weights{};
  }
  if (name == "aten::batch_norm") return {batch_norm(node)};
  if (name == "aten::mul" || name == "aten::multiply") return {scaling(node, false)};
  if (name == "aten::div" || name == "aten::divide" || name == "aten::true_divide") return {scaling(node, true)};
  for (const size_t axes : {1, 2, 3}) {
    if (name == "aten::avg_pool" + std::to_string(axes) + "d") return {average(node, axes)};
  }
  return {};
}

}  // namespace polyact
