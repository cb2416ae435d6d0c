// Running a graph in segments, so that passes which begin alike share their beginning.
#pragma once

#include <c10/core/Device.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include <memory>
#include <string>
#include <vector>

namespace polyact {

// A pass that has come to a cut.
struct PartialPass {
  // The segment that comes next.
  size_t next;
  int64_t images;
  c10::Device device;
  // What is computed already and used later, in the order in which the segment takes it.
  torch::jit::Stack values;
};

// Runs `code` on `stack`. Throws one line.
void interpret(const torch::jit::Code& code, torch::jit::Stack& stack);

// A prepared graph, cut before every node of its own block that is a site or holds some, but for the first of them. Run one after
// another, the segments compute what the graph computes: each takes the values that live across the cut before it and gives
// those that live across the cut behind it, and lets go of a value at its last use, as the graph does.
class Segments {
 public:
  explicit Segments(const std::shared_ptr<torch::jit::Graph>& graph);

  size_t count() const { return all_.size(); }

  // The numbers of the sites in a segment.
  const std::vector<size_t>& sites(size_t segment) const { return all_[segment].sites; }

  // Whether several passes may go on from the beginning of a segment. They may not if a list or the like lives there that
  // somebody changes later, itself or a tensor in it.
  bool may_branch(size_t segment) const { return all_[segment].may_branch; }

  // Another pass that goes on from the same cut, where passes may branch: with copies of all that is written to later, so that
  // neither sees the writes of the other.
  PartialPass branch(const PartialPass& pass) const;

  // Runs all segments before `to`. `common` are the inputs of the graph but for the images.
  void run(PartialPass& pass, size_t to, const torch::jit::Stack& common) const;

 private:
  struct Segment {
    std::vector<size_t> sites;
    bool may_branch = true;
    // Of each value that it takes, whether it is written to from there on.
    std::vector<bool> written;
    torch::jit::Code code;
  };
  friend class Cutting;

  std::vector<Segment> all_;
};

}  // namespace polyact
