#include "polyact/src/model/output.h"

#include <sstream>
#include <vector>

namespace polyact {

namespace {

void collect(const c10::IValue& value, const std::string& name, std::vector<Logits>& found) {
  const auto inner = [&](const std::string& last) { return name.empty() ? last : name + "." + last; };
  if (value.isTensor()) {
    found.push_back({value.toTensor(), name});
  } else if (value.isTuple()) {
    const auto& elements = value.toTupleRef().elements();
    for (size_t i = 0; i < elements.size(); i++) collect(elements[i], inner(std::to_string(i)), found);
  } else if (value.isList()) {
    const auto list = value.toList();
    for (size_t i = 0; i < list.size(); i++) collect(list.get(i), inner(std::to_string(i)), found);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      if (entry.key().isString()) collect(entry.value(), inner(entry.key().toStringRef()), found);
    }
  }
}

at::Tensor without_pixels(at::Tensor x) {
  return x.dim() == 4 && x.size(2) == 1 && x.size(3) == 1 ? x.flatten(1) : x;
}

std::string listed(const std::vector<Logits>& found) {
  std::ostringstream text;
  for (const auto& one : found) text << (&one == &found.front() ? "" : ", ") << "`" << one.name << "` of shape " << one.tensor.sizes();
  return text.str();
}

}  // namespace

Logits logits_of(const c10::IValue& output, const std::string& wanted, int64_t images) {
  std::vector<Logits> found;
  collect(output, "", found);
  if (found.empty()) throw std::runtime_error("returns " + output.tagKind() + ", not a tensor of logits");
  for (auto& one : found) one.tensor = without_pixels(one.tensor);
  if (!wanted.empty()) {
    for (const auto& one : found) {
      if (one.name == wanted) return one;
    }
    throw std::runtime_error("has no output `" + wanted + "` (--output); it returns " + (output.isTensor() ? "one tensor" : listed(found)));
  }
  if (output.isTensor()) return found.front();
  std::vector<Logits> fitting;
  for (const auto& one : found) {
    if (one.tensor.dim() == 2 && one.tensor.size(0) == images && one.tensor.size(1) > 0) fitting.push_back(one);
  }
  if (fitting.size() == 1) return fitting.front();
  throw std::runtime_error("returns several tensors, " + listed(found) + "; say which are the logits by --output NAME");
}

}  // namespace polyact
