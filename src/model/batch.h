// Which values of a network belong to which image of the batch.
#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <unordered_map>

namespace polyact {

// How the images of the batch lie in a tensor.
struct Place {
  enum Kind {
    // Nothing of the tensor belongs to an image.
    Constant,
    // The values of an image follow each other, image by image, when the tensor is read row by row.
    Leading,
    // Along `axis`, which is not the first one, the images follow each other.
    Axis,
    Unknown,
  };
  Kind kind = Constant;
  // Of Leading: the first axis is the images, or what each of them was split into, image by image.
  bool whole = false;
  int64_t axis = 0;
  // Number of axes; −1 where the graph does not tell.
  int64_t rank = -1;

  bool operator==(const Place& other) const {
    return kind == other.kind && whole == other.whole && axis == other.axis && rank == other.rank;
  }
};

// The places of all values of a graph whose input is a batch of images [N, C, H, W]. Where an operator is not known, or does
// with the batch what the graph does not show, the place is unknown.
class Places {
 public:
  explicit Places(torch::jit::Graph& graph);

  // Along which axis the images lie: 0 if they follow each other row by row, −1 if it is unknown.
  int64_t axis(const torch::jit::Value* value) const;

 private:
  Place of(const torch::jit::Value* value) const;
  void set(const torch::jit::Value* value, const Place& place) { places_[value] = place; }
  void follow(torch::jit::Block& block);
  void follow(torch::jit::Node& node);
  void follow_conditional(torch::jit::Node& node);
  void follow_loop(torch::jit::Node& node);
  Place result(const torch::jit::Node& node) const;
  Place reshaped(const torch::jit::Node& node, Place place) const;
  Place permuted(const torch::jit::Node& node, Place place) const;
  Place of_operands(const torch::jit::Node& node) const;
  bool is_multiple_of_images(const torch::jit::Value* value) const;

  std::unordered_map<const torch::jit::Value*, Place> places_;
};

}  // namespace polyact
